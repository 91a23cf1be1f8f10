-- What each model was made of, by domain, licence, language and kind of source: tokens read, repeats and passes counted.
with
-- every model with weights that a model goes back to, itself included
trained as (
    select model, model_identity, model as trained_by, model_identity as trained_identity
    from {{ ref('model_genealogy') }}
    union
    select model, model_identity, ancestor, identity
    from {{ ref('model_genealogy') }}
),

trainings as (
    select
        trained.model,
        trained.model_identity,
        trained.trained_by,
        edges.input_asset as data,
        edges.input_identity as data_identity,
        weights.tokens_trained
    from trained
    inner join {{ ref('stg_manifests') }} as weights
        on trained.trained_by = weights.asset and trained.trained_identity = weights.identity and weights.has_weights
    inner join {{ ref('stg_manifest_inputs') }} as edges
        on trained.trained_by = edges.asset and trained.trained_identity = edges.identity
    where
        edges.input_asset in ('training_mix', 'instruction_dataset', 'preference_dataset')
        and trained.model not in ('eval_report', 'deployment')
),

-- what one pass over the data reads of each document
texts as (
    select 'training_mix' as data, mix_identity as data_identity, doc_id, 1 as n_rows, tokens_read as weight
    from {{ ref('stg_mix') }}
    where split = 'train'
    union all
    select data, data_identity, doc_id, count(*) as n_rows, sum(n_bytes) as weight
    from {{ ref('stg_pairs') }}
    group by data, data_identity, doc_id
),

grouped as (
    select
        texts.data,
        texts.data_identity,
        coalesce(documents.crawl, 'unknown') as crawl,
        coalesce(documents.host, 'unknown') as domain,
        case
            when documents.license_id <> '' then documents.license_id
            when documents.license <> '' then 'other'
            else 'none named'
        end as license,
        coalesce(documents.lang, 'unknown') as lang,
        coalesce(documents.source_kind, 'unknown') as source_kind,
        count(*) as documents,
        sum(texts.n_rows)::bigint as n_rows,
        sum(texts.weight)::bigint as weight
    from texts
    left join {{ ref('stg_documents') }} as documents using (doc_id)
    group by all
),

shared as (
    select *, weight / sum(weight) over (partition by data, data_identity) as share
    from grouped
)

select
    trainings.model,
    trainings.model_identity,
    trainings.trained_by,
    trainings.data,
    shared.crawl,
    shared.domain,
    shared.license,
    shared.lang,
    shared.source_kind,
    shared.documents,
    shared.n_rows,
    if(trainings.data = 'training_mix', shared.weight, null) as tokens_a_pass,
    if(trainings.data = 'training_mix', null, shared.weight) as bytes_a_pass,
    round(shared.share, 9) as share_of_data,
    round(trainings.tokens_trained * shared.share)::bigint as tokens_seen
from trainings
inner join shared using (data, data_identity)
