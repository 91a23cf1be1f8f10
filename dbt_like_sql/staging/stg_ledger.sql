-- The ledgers of all stages and crawls, one below the other.
with verdicts as (
    select * from {{ ref('stg_crawl_ledger') }}
    union all by name
    select crawl, stage, url, doc_id, kept, rule, value, threshold, related_doc, detail
    from {{ source('*[all]', 'ledger.parquet') }}
)

select
    verdicts.crawl,
    stages.stage_order,
    verdicts.stage,
    verdicts.url,
    verdicts.doc_id,
    verdicts.kept,
    verdicts.rule,
    verdicts.value,
    verdicts.threshold,
    verdicts.related_doc,
    verdicts.detail
from verdicts
left join (
    values
        ('raw_crawl', 1), ('extracted_pages', 2), ('cleaned_corpus', 3), ('deduped_shards', 4), ('tokenized_dataset', 5),
        ('training_mix', 6), ('instruction_dataset', 7), ('preference_dataset', 8), ('image_dataset', 9)
) as stages (stage, stage_order) using (stage)
