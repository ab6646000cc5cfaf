"""Resumable jobs for large corpora: a folder of shards, written one by one, which continues where it stopped."""

from minembed.jobs.api import embed
from minembed.jobs.folder import Report
from minembed.jobs.indexing import index
from minembed.jobs.sharded import ShardedIndex
from minembed.jobs.state import State, status
from minembed.jobs.updating import Update, update_index

__all__ = ["Report", "ShardedIndex", "State", "Update", "embed", "index", "status", "update_index"]
