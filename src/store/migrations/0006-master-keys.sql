-- Which master keys this database was made with, so that a start with another one is refused instead of making a second
-- life beside the first.

create table master_keys (
  key_id text not null,
  first_used_at bigint not null,
  primary key (key_id)
);
