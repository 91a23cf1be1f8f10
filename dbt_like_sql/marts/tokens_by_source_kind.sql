-- What kinds of source the tokens are from, and how much of each a training reads.
select
    tokenized.crawl,
    tokenized.source_kind,
    count(*) as documents,
    sum(tokenized.n_tokens)::bigint as tokens,
    sum(tokenized.n_bytes)::bigint as bytes,
    count(mix.doc_id) as documents_in_mix,
    coalesce(sum(mix.tokens_read) filter (where mix.split = 'train'), 0)::bigint as train_tokens_read,
    coalesce(sum(mix.tokens_read) filter (where mix.split = 'validation'), 0)::bigint as validation_tokens_read
from {{ ref('stg_tokenized_documents') }} as tokenized
left join {{ ref('stg_mix') }} as mix using (crawl, doc_id)
group by all
