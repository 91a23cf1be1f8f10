-- What each model was made of, by domain, licence, language and kind of source: tokens read, repeats and passes counted.
with
-- every model with weights that a model goes back to, itself included
trained as (
    select model, model_identity, model as trained_by, model_identity as trained_identity
    from {{ ref('model_genealogy') }}
    union
    select model, model_identity, ancestor as trained_by, identity as trained_identity
    from {{ ref('model_genealogy') }}
),

trainings as (
    select
        trained.model,
        trained.model_identity,
        trained.trained_by,
        trained.trained_identity,
        edges.input_asset as data,
        edges.input_identity as data_identity,
        weights.tokens_trained
    from trained
    inner join {{ ref('stg_trainings') }} as weights
        on trained.trained_by = weights.asset and trained.trained_identity = weights.identity
    inner join {{ ref('stg_manifest_inputs') }} as edges
        on trained.trained_by = edges.asset and trained.trained_identity = edges.identity
    where
        edges.input_asset in ('training_mix', 'instruction_dataset', 'preference_dataset')
        and trained.model not in ('eval_report', 'deployment')
),

grouped as (
    select
        texts.data,
        texts.data_identity,
        coalesce(documents.crawl, 'unknown') as crawl,
        coalesce(documents.host, regexp_extract(texts.url, '^[a-z]+://([^/:?#]+)', 1), 'unknown') as domain,
        case
            when documents.license_id <> '' then documents.license_id
            when documents.license <> '' then 'other'
            when documents.doc_id is null then 'unknown'
            else 'none named'
        end as license,
        coalesce(documents.lang, 'unknown') as lang,
        coalesce(documents.source_kind, 'unknown') as source_kind,
        count(*) as documents,
        sum(texts.n_rows)::bigint as n_rows,
        sum(texts.tokens_a_pass)::bigint as tokens_a_pass,
        sum(texts.bytes_a_pass)::bigint as bytes_a_pass
    from {{ ref('stg_training_texts') }} as texts
    left join {{ ref('stg_documents') }} as documents using (doc_id)
    group by all
),

shared as (
    select
        *,
        coalesce(tokens_a_pass, bytes_a_pass)
        / sum(coalesce(tokens_a_pass, bytes_a_pass)) over (partition by data, data_identity) as share
    from grouped
)

select
    trainings.model,
    trainings.model_identity,
    trainings.trained_by,
    trainings.trained_identity,
    trainings.data,
    shared.crawl,
    shared.domain,
    shared.license,
    shared.lang,
    shared.source_kind,
    shared.documents,
    shared.n_rows,
    shared.tokens_a_pass,
    shared.bytes_a_pass,
    round(shared.share, 9) as share_of_data,
    round(trainings.tokens_trained * shared.share)::bigint as tokens_seen
from trainings
inner join shared using (data, data_identity)
