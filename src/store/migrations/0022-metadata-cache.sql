-- How long what discovery found at a server is used again; null: as long as the installation says.

alter table servers add column metadata_cache_ms bigint;
