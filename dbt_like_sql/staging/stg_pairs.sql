-- The texts that post-training reads: a row a page that a question, or one of two answers, was made of.
select
    'instruction_dataset' as data,
    _identity as data_identity,
    id,
    'answer' as role,
    doc_id,
    task as kind,
    strlen(prompt) + strlen(answer) as n_bytes
from {{ source('instruction_dataset', 'train.parquet') }}
union all
select
    'preference_dataset' as data,
    _identity as data_identity,
    id,
    'chosen' as role,
    doc_id,
    kind,
    strlen(prompt) + strlen(chosen) as n_bytes
from {{ source('preference_dataset', 'train.parquet') }}
union all
select
    'preference_dataset' as data,
    _identity as data_identity,
    id,
    'rejected' as role,
    coalesce(rejected_doc_id, doc_id) as doc_id,
    kind,
    strlen(rejected) as n_bytes
from {{ source('preference_dataset', 'train.parquet') }}
