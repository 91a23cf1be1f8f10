-- What one pass over each training's data reads of each page, also where readers see newer data than the model was made of.
with texts as (
    select 'training_mix' as data, _identity as data_identity, doc_id, url, epochs * length as n_tokens, null as n_bytes
    from {{ source('training_mix[used]', 'documents.parquet') }}
    where split = 'train'
    union all
    select 'instruction_dataset', _identity, doc_id, url, null, strlen(prompt) + strlen(answer)
    from {{ source('instruction_dataset[used]', 'train.parquet') }}
    union all
    select 'preference_dataset', _identity, doc_id, url, null, strlen(prompt) + strlen(chosen)
    from {{ source('preference_dataset[used]', 'train.parquet') }}
    union all
    -- the worse answer is read too; it may be of another page
    select 'preference_dataset', _identity, coalesce(rejected_doc_id, doc_id), null, null, strlen(rejected)
    from {{ source('preference_dataset[used]', 'train.parquet') }}
)

select
    data,
    data_identity,
    doc_id,
    min(url) as url,
    count(*) as n_rows,
    sum(n_tokens)::bigint as tokens_a_pass,
    sum(n_bytes)::bigint as bytes_a_pass
from texts
group by data, data_identity, doc_id
