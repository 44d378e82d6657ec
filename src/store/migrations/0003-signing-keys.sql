-- The keys that sign our JWTs, generation by generation, and the nonce that an ID token gives back.
create table signing_keys (
  tenant_id text not null,
  generation bigint not null,
  kid text not null,
  public_jwk text not null,
  private_jwk_sealed text not null,
  created_at bigint not null,
  activated_at bigint,
  retired_at bigint,
  published_until bigint,
  primary key (tenant_id, generation),
  foreign key (tenant_id) references tenants (id) on delete cascade
);

alter table codes add column nonce text;
