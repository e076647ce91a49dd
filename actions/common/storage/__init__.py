"""The object store: objects, streams, presigned transfers, model states, and the documents and keys of a run."""
