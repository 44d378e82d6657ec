-- Whether a server is told who calls in header fields too (X-Latchkey-User and its kin): an administrator's choice.

alter table servers add column identity_headers integer not null default 0;
