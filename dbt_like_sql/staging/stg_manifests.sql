-- One row a current artefact: what it is, and what making it cost.
select
    asset,
    "partition" as crawl,
    identity,
    digest,
    code_version,
    recipe,
    len(inputs) as n_inputs,
    cardinality(files) as n_files,
    coalesce(list_sum([file.bytes for file in map_values(files)]), 0)::bigint as n_bytes,
    counts['documents_in'] as documents_in,
    counts['kept'] as documents_kept,
    metrics ->> '$.credit' as credit,
    started_at::timestamp with time zone as started_at,
    seconds,
    device,
    gpu_hours,
    peak_memory_bytes,
    run_id,
    config::varchar as config
from {{ source('*', 'manifest.json') }}
