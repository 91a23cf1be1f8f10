"""Parts of the section raw_crawl for crawls that others made: Common Crawl, and documents of one's own."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution

SourceKind = Literal["web", "book", "paper", "forum", "code", "own"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)


class CommonCrawl(Section):
    """Which part of a Common Crawl month becomes a crawl: whole files, or single captures looked up in its URL index.

    With ``domains`` or ``languages`` the index is asked, and each capture is fetched by its byte range.
    """

    ids: dict[str, str] = Field(
        {}, description="Crawl → id such as CC-MAIN-2026-43; a crawl whose key is an id needs no entry, unless the inbox has it"
    )
    base_url: str = Field("https://data.commoncrawl.org/", pattern=r"^https?://[^\s?#]+/$", description="Ends in '/'")
    releases_url: str = execution(
        "https://index.commoncrawl.org/collinfo.json",
        pattern=r"^https?://[^\s#]+$",
        description="List of all months, newest first; the sensor common_crawl_releases reads it",
    )
    content: Literal["warc", "wet"] = Field("warc", description="Pages, or the text that Common Crawl took from them")
    files: int = Field(1, ge=0, description="Files taken, chosen by seed; more files always hold the fewer; 0: by share")
    share: float = Field(0.0, ge=0, le=1, description="Share of the listed files taken where files is 0")
    domains: list[str] = Field([], description="Only captures of these domains and their subdomains, by the URL index")
    languages: list[str] = Field(
        [], description="Only captures mainly in these languages, by the URL index; three letters (ISO 639-3): eng, fra"
    )
    max_records: int = Field(10_000, ge=1, description="Captures taken by way of the index at most, chosen by seed")
    max_index_blocks: int = Field(300, ge=1, description="Blocks of the index read at most; one lists some 3,000 captures")
    seed: int = Field(0, description="Chooses files, index blocks and captures")
    cache: str = execution("", description="Folder that keeps downloads for later crawls; empty: they go with the run")
    chunk_bytes: int = execution(8_388_608, ge=1_024, description="A file comes in requests of this size, and resumes by them")
    connections: int = execution(2, ge=1, le=16, description="Downloads at a time")
    timeout_seconds: float = execution(120.0, gt=0, description="For one request")
    max_retries: int = execution(8, ge=0, description="More tries after an error of network or server, or 403, 429, 503")
    backoff_seconds: float = execution(2.0, ge=0, description="First pause before another try; doubles each time")
    max_backoff_seconds: float = execution(120.0, ge=0, description="Longest pause; also the longest Retry-After obeyed")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for crawl, name in self.ids.items():
            if not name.startswith("CC-") or "/" in name:
                raise ValueError(f"ids: {crawl} is {name!r}; an id looks like CC-MAIN-2026-43")
        bad = [code for code in self.languages if not (len(code) == 3 and code.isascii() and code.islower())]
        if bad:
            raise ValueError(f"languages: {bad[0]!r} is no ISO 639-3 code; the index says eng for English, fra for French")
        bad = [domain for domain in self.domains if "." not in domain or "/" in domain or domain != domain.lower()]
        if bad:
            raise ValueError(f"domains: {bad[0]!r} is no domain in lower case such as example.org")
        if not self.files and not self.share and not self.by_index:
            raise ValueError("files and share are both 0: nothing would be fetched; set one of them, or domains or languages")
        if self.by_index and self.content == "wet":
            raise ValueError("content: the URL index lists pages (warc), not extracted texts (wet)")
        return self

    @property
    def by_index(self) -> bool:
        """Whether single captures are looked up in the URL index."""
        return bool(self.domains or self.languages)


class LocalFiles(Section):
    """Documents of one's own: text, Markdown, HTML, PDF, EPUB, JSONL, Parquet, WARC and WET in a folder.

    A document's address is ``https://<collection>.invalid/<path>``, or what its row says.
    """

    folders: dict[str, str] = execution({}, description="Crawl → its folder; a crawl not named is a folder of the inbox")
    collections: dict[str, str] = Field(
        {}, description="Crawl → name in addresses; crawls of one name replace each other's changed files. Default: the crawl"
    )
    source_kind: SourceKind = Field("own", description="Of documents that no rule of source_kinds or crawl_kinds names")
    text_column: str = Field("text", min_length=1, description="Column of JSONL and Parquet that holds the text; needed")
    url_column: str = Field("url", description="Its address, kept where it is http(s); '' for none, as below")
    date_column: str = Field("date", description="ISO 8601, or seconds since 1970; else the file's time counts")
    title_column: str = "title"
    language_column: str = Field("language", description="What the row claims; cleaning judges by the text")
    license_column: str = "license"
    source_kind_column: str = "source_kind"
    max_file_bytes: int = Field(268_435_456, ge=1, description="Larger files are left out; JSONL, Parquet, WARC are streamed")
    max_document_bytes: int = Field(16_777_216, ge=1, description="UTF-8. A longer text is left out (no row stalls a writer)")
    part_bytes: int = Field(
        500_000,
        ge=0,
        description="UTF-8. A longer document is cut between paragraphs: filters and models know no 1,000 pages; 0: never",
    )
    max_cpu_seconds: float = Field(60.0, gt=0, description="Processor time of one PDF or EPUB file")
    max_memory_mb: int = Field(2_048, ge=256, description="Address space of a process that reads PDF or EPUB, MiB")
    max_rejected_share: float = Field(0.5, ge=0, le=1, description="Gate: files and rows that gave no document")
    workers: int = execution(0, ge=0, description="PDF and EPUB files read at a time; 0: the cores there are")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        bad = [name for name in self.collections.values() if not name or not all(c.isalnum() or c in "._-" for c in name)]
        if bad:
            raise ValueError(f"collections: {bad[0]!r} can't be the host of an address; use letters, digits, '.', '_', '-'")
        return self
