-- Everything that a model was made of, however far back, and whether that is still what readers see.
with recursive
line as (
    select
        edges.asset as model,
        edges.identity as model_identity,
        edges.input_asset as ancestor,
        edges.input_crawl as crawl,
        edges.input_identity as identity,
        1 as distance
    from {{ ref('stg_manifest_inputs') }} as edges
    inner join {{ ref('stg_manifests') }} as made
        on edges.asset = made.asset and edges.crawl = made.crawl and edges.identity = made.identity
    where edges.asset in ('base_model', 'sft_model', 'reward_model', 'rlhf_model', 'eval_report', 'quantized_export', 'deployment')
    union
    select
        line.model,
        line.model_identity,
        edges.input_asset,
        edges.input_crawl,
        edges.input_identity,
        line.distance + 1
    from line
    inner join {{ ref('stg_manifest_inputs') }} as edges
        on line.ancestor = edges.asset and line.crawl = edges.crawl and line.identity = edges.identity
)

select
    line.model,
    line.model_identity,
    min(line.distance) as distance,
    line.ancestor,
    line.crawl,
    line.identity,
    current.identity is not null as is_current,
    any_value(current.documents_kept) as documents_kept,
    any_value(current.code_version) as code_version,
    any_value(current.started_at) as started_at
from line
left join {{ ref('stg_manifests') }} as current
    on line.ancestor = current.asset and line.crawl = current.crawl and line.identity = current.identity
group by line.model, line.model_identity, line.ancestor, line.crawl, line.identity, current.identity
