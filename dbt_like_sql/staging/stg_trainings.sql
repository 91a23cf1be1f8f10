-- Models with weights as a training leaves them, also those that readers no longer see but current models go back to.
select
    asset,
    "partition" as crawl,
    identity,
    (metrics ->> '$.tokens')::double::bigint as tokens_trained,
    counts['answer_tokens'] as tokens_generated,
    started_at::timestamp with time zone as started_at
from {{ source('*[used]', 'manifest.json') }}
where len(list_filter(map_keys(files), lambda name: name like '%.safetensors')) > 0
