-- The ledgers of all stages and crawls, one below the other.
select
    ledger.crawl,
    stages.stage_order,
    ledger.stage,
    ledger.url,
    ledger.doc_id,
    ledger.kept,
    ledger.rule,
    ledger.value,
    ledger.threshold,
    ledger.related_doc,
    ledger.detail
from {{ source('*', 'ledger.parquet') }} as ledger
left join (
    values
        ('raw_crawl', 1), ('extracted_pages', 2), ('cleaned_corpus', 3), ('deduped_shards', 4), ('tokenized_dataset', 5),
        ('training_mix', 6), ('instruction_dataset', 7), ('preference_dataset', 8), ('image_dataset', 9)
) as stages (stage, stage_order) using (stage)
