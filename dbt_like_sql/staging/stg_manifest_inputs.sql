-- One row an edge: which artefact read which, through all that current artefacts go back to.
select
    made.asset,
    made.crawl,
    made.identity,
    made.input.asset as input_asset,
    made.input."partition" as input_crawl,
    made.input.identity as input_identity,
    made.input.digest as input_digest
from (
    select asset, "partition" as crawl, identity, unnest(inputs) as input
    from {{ source('*[used]', 'manifest.json') }}
) as made
