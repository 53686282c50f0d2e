"""The answers for manifests in the formats that pipelines read."""
