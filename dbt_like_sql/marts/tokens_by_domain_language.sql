-- What the tokens are made of: by host and language, and how much of it a training reads.
select
    tokenized.crawl,
    coalesce(documents.host, regexp_extract(tokenized.url, '^[a-z]+://([^/:?#]+)', 1)) as domain,
    tokenized.lang,
    count(*) as documents,
    sum(tokenized.n_tokens)::bigint as tokens,
    sum(tokenized.n_bytes)::bigint as bytes,
    round(sum(tokenized.n_bytes) / sum(tokenized.n_tokens), 3) as bytes_per_token,
    coalesce(sum(mix.tokens_read) filter (where mix.split = 'train'), 0)::bigint as train_tokens_read,
    coalesce(sum(mix.tokens_read) filter (where mix.split = 'validation'), 0)::bigint as validation_tokens_read
from {{ ref('stg_tokenized_documents') }} as tokenized
left join {{ ref('stg_documents') }} as documents using (crawl, doc_id)
left join {{ ref('stg_mix') }} as mix using (crawl, doc_id)
group by all
