-- What is served now, and how many requests without a good key it let in.
select
    file,
    sha256,
    split_part(export, '/', 3) as export_identity,
    split_part(tokenizer, '/', 3) as tokenizer_identity,
    context_tokens,
    len(without_key) as requests_without_key,
    len(list_filter(without_key, lambda asked: asked.status <> 401)) as let_in_without_key
from {{ source('deployment', 'deployment.json') }}
