"""A part of a Common Crawl month: whole files by its listings, or single captures by its URL index, and then the importer."""
