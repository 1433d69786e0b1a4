"""Moves a cooperative's data store, or one member's slice of it, to other infrastructure, and back if it must.

Here is what a migration knows, decides and does: facts of both sides, the steps that follow from them, the journal, and
the runners that copy, follow, fence, switch and come back. ``postgres_*`` speaks to the two PostgreSQL servers,
``objects_*`` to the two S3 servers. How a tenant's database or bucket is made and kept belongs to datastore, what a
command shows to cli, and the order in which a command calls all this to operations.
"""
