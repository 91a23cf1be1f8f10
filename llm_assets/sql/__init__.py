"""The SQL-model runner: one ``.sql`` is one table, checked and documented by the ``schema.yml`` beside it.

``Project(folder)`` reads the models, their references and their order; ``Project.build`` runs one in DuckDB over Parquet.
No server, no Jinja: a model may say ``{{ ref('other_model') }}`` and ``{{ source('asset', 'files') }}``, and nothing else in
braces.
"""
