-- The ledgers of the stages that work crawl by crawl.
select
    crawl,
    stage,
    url,
    doc_id,
    kept,
    rule,
    value,
    threshold,
    related_doc,
    detail
from {{ source('*[crawl]', 'ledger.parquet') }}
