-- Views over the tables that tap-bitbucket-dc fills, with the names and columns of DX's Bitbucket
-- Server tables. They need PostgreSQL 14 or newer and store no data of their own. Running this
-- script again changes nothing; grants and objects that depend on the views are kept. A column that
-- does not exist is replaced by null (on_default_branch by true), a missing table by an empty one.

-- Depending on the target, a time is a timestamp, a timestamptz or a text.
create or replace function bitbucket_server_utc(moment timestamp) returns timestamp
    language sql immutable parallel safe return moment;
create or replace function bitbucket_server_utc(moment timestamptz) returns timestamp
    language sql immutable parallel safe return moment at time zone 'UTC';
create or replace function bitbucket_server_utc(moment text) returns timestamp
    language sql stable parallel safe return moment::timestamptz at time zone 'UTC';

create or replace function bitbucket_server_email(email text) returns text
    language sql immutable parallel safe return nullif(lower(btrim(email)), '');

create or replace function bitbucket_server_user_id(user_id bigint, email text, name text)
    returns bigint
    language sql stable parallel safe return coalesce(
        user_id,
        -- The first 63 bits of a stable hash, as a negative number.
        -1 - ((('x' || encode(substr(sha256(convert_to(coalesce(
            'email ' || bitbucket_server_email(email),
            'name ' || nullif(btrim(name), '')
        ), 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint) & 9223372036854775807)
    );
comment on function bitbucket_server_user_id is
    'Id of a person. Bitbucket''s if it matched a user, otherwise a negative number derived from '
    'the e-mail address, or from the name if there is no address. Null without any of them.';

create or replace view bitbucket_server_user_emails as
select bitbucket_server_email(person.email) as email, max(person.user_id) as user_id
  from (
    select author_email as email, max(author_user_id::bigint) as user_id
      from {commits} as commits where author_user_id is not null group by 1
     union all
    select committer_email, max(committer_user_id::bigint)
      from {commits} as commits where committer_user_id is not null group by 1
  ) as person
 where bitbucket_server_email(person.email) is not null
 group by 1;
comment on view bitbucket_server_user_emails is
    'E-mail addresses that Bitbucket matched to a user in at least one commit. Commits that were '
    'read before the user had an account are attributed to the user, too.';
comment on column bitbucket_server_user_emails.email is 'In lower case.';
comment on column bitbucket_server_user_emails.user_id is
    'Bitbucket''s id of the user; the highest if an address had several.';

create or replace view bitbucket_server_projects as
select project.id::bigint as id,
       project.id::bigint as source_id,
       project.url::text as source_url,
       project.key::text as key,
       project.name::text as name,
       project.description::text as description,
       project.public::boolean as public,
       coalesce(branches.readable, true) as api_accessible
  from {projects} as project
  left join (
    select repository.project_id, bool_or(branch.status <> 'inaccessible') as readable
      from {repositories} as repository
      join {default_branches} as branch on branch.repository_id = repository.id
     group by repository.project_id
  ) as branches on branches.project_id = project.id;
comment on view bitbucket_server_projects is
    'Projects, including those that were deleted in Bitbucket after they were loaded.';
comment on column bitbucket_server_projects.id is
    'Bitbucket''s id, which stays the same when the key changes.';
comment on column bitbucket_server_projects.source_id is 'The same as id.';
comment on column bitbucket_server_projects.public is
    'Null if Bitbucket does not say, as for personal projects.';
comment on column bitbucket_server_projects.api_accessible is
    'False if it has repositories and none of them could be read when they were last loaded.';

create or replace view bitbucket_server_repositories as
select repository.id::bigint as id,
       repository.id::bigint as source_id,
       repository.project_id::bigint as project_id,
       repository.url::text as source_url,
       repository.name::text as name,
       repository.slug::text as slug,
       repository.description::text as description,
       repository.public::boolean as public,
       branch.display_id::text as default_branch,
       branch.status <> 'inaccessible' as api_accessible,
       repository.archived::boolean as archived
  from {repositories} as repository
  left join {default_branches} as branch on branch.repository_id = repository.id;
comment on view bitbucket_server_repositories is
    'Repositories, including those that were deleted in Bitbucket after they were loaded.';
comment on column bitbucket_server_repositories.id is
    'Bitbucket''s id, which stays the same when the repository is renamed or moved.';
comment on column bitbucket_server_repositories.source_id is 'The same as id.';
comment on column bitbucket_server_repositories.project_id is 'Id in bitbucket_server_projects.';
comment on column bitbucket_server_repositories.default_branch is
    'Short name such as main. Null if the repository is empty or inaccessible, or the branch '
    'does not exist.';
comment on column bitbucket_server_repositories.api_accessible is
    'Whether the repository could be read when it was last loaded.';
comment on column bitbucket_server_repositories.archived is 'Null before Bitbucket 8.0.';

create or replace view bitbucket_server_users as
with person as (
    select author_user_id::bigint as user_id, author_email::text as email,
           author_name::text as name, max(committer_timestamp) as newest
      from {commits} as commits group by 1, 2, 3
     union all
    select committer_user_id::bigint, committer_email::text, committer_name::text,
           max(committer_timestamp)
      from {commits} as commits group by 1, 2, 3
), known as (
    select coalesce(person.user_id, matched.user_id) as source_id,
           person.user_id is not null as is_matched,
           person.email, person.name, person.newest
      from person
      left join bitbucket_server_user_emails as matched
        on matched.email = bitbucket_server_email(person.email)
), identified as (
    select bitbucket_server_user_id(source_id, email, name) as id, known.* from known
)
select distinct on (id) id, source_id, name, email
  from identified
 where id is not null
 order by id, is_matched desc, newest desc nulls last, name, email;
comment on view bitbucket_server_users is
    'Authors and committers of the loaded commits, each person once. Users who never committed '
    'are missing, as the tap does not read the list of users.';
comment on column bitbucket_server_users.id is
    'Bitbucket''s id if it matched a user. Otherwise a negative number derived from the e-mail '
    'address in lower case, or from the name if there is no address; it is the same in every '
    'warehouse. It becomes Bitbucket''s id when Bitbucket first matches the address to a user. '
    'Among 100,000 people, the probability that two share a number is 1 in a billion.';
comment on column bitbucket_server_users.source_id is
    'Bitbucket''s id. Null for people whom Bitbucket matched to no user.';
comment on column bitbucket_server_users.name is 'The name in the newest commit.';
comment on column bitbucket_server_users.email is 'The address in the newest commit.';

create or replace view bitbucket_server_commits as
select commits.repository_id::bigint || '/' || commits.id as id,
       commits.id::text as sha,
       bitbucket_server_user_id(
           coalesce(commits.author_user_id::bigint, matched.user_id),
           commits.author_email, commits.author_name
       ) as author_id,
       commits.repository_id::bigint as repository_id,
       commits.branch::text as branch,
       bitbucket_server_utc(commits.committer_timestamp) as created,
       commits.message::text as message
  from {commits} as commits
  left join bitbucket_server_user_emails as matched
    on matched.email = bitbucket_server_email(commits.author_email)
 where commits.on_default_branch::boolean;
comment on view bitbucket_server_commits is
    'Commits of default branches. A commit that is no longer reachable from the default branch, '
    'such as after a force push, is missing; the table commits has it with on_default_branch '
    'false.';
comment on column bitbucket_server_commits.id is
    'Id of the repository, a slash and the sha: 12/76c728b9…. Unique even if several repositories '
    'have the commit, and the same in every warehouse.';
comment on column bitbucket_server_commits.author_id is
    'Id in bitbucket_server_users. Null if the commit has neither an address nor a name.';
comment on column bitbucket_server_commits.repository_id is
    'Id in bitbucket_server_repositories.';
comment on column bitbucket_server_commits.branch is
    'Short name of the default branch when the commit was read.';
comment on column bitbucket_server_commits.created is
    'Committer date in UTC. The author date is commits.author_timestamp.';

-- Not in DX.
create or replace view bitbucket_server_bots as
select distinct bot.user_id
  from (
    select bitbucket_server_user_id(
               coalesce(commits.author_user_id::bigint, matched.user_id),
               commits.author_email, commits.author_name
           ) as user_id
      from {commits} as commits
      left join bitbucket_server_user_emails as matched
        on matched.email = bitbucket_server_email(commits.author_email)
     where commits.author_type = 'SERVICE' or commits.author_name like '%[bot]'
  ) as bot
 where bot.user_id is not null;
comment on view bitbucket_server_bots is
    'Users that are bots: authors whom Bitbucket has as users of the type SERVICE, or whose name '
    'ends in [bot], such as renovate[bot].';
comment on column bitbucket_server_bots.user_id is 'Id in bitbucket_server_users.';

create or replace view bitbucket_server_commit_co_authors as
select written.commit_id, written.position,
       bitbucket_server_user_id(matched.user_id, written.email, written.name) as user_id,
       written.name, written.email
  from (
    select commit.commit_id, trailer.position,
           nullif(btrim(substring(trailer.value from '^([^<]*)<')), '') as name,
           -- In tables without names it is the digest of the address alone.
           coalesce(substring(trailer.value from '<([^<>]*)>$'),
                    substring(trailer.value from '^[0-9a-f]{64}$')) as email
      from (
        select repository_id::bigint || '/' || id as commit_id, to_jsonb(co_authors) as list
          from {commits} as commits where on_default_branch::boolean
      ) as commit
     cross join lateral jsonb_array_elements_text(
        -- Depending on the target it is an array, a jsonb, or a text that holds JSON.
        case jsonb_typeof(commit.list)
            when 'array' then commit.list
            when 'string' then (commit.list #>> '{}')::jsonb
            else '[]' end
      ) with ordinality as trailer (value, position)
  ) as written
  left join bitbucket_server_user_emails as matched
    on matched.email = bitbucket_server_email(written.email);
comment on view bitbucket_server_commit_co_authors is
    'Who else wrote a commit, by the trailers Co-authored-by of its message: one row for each.';
comment on column bitbucket_server_commit_co_authors.commit_id is
    'Id in bitbucket_server_commits.';
comment on column bitbucket_server_commit_co_authors.position is 'From 1, in the order written.';
comment on column bitbucket_server_commit_co_authors.user_id is
    'Id in bitbucket_server_users, where the person has a row if he or she is the author or '
    'committer of a commit.';
