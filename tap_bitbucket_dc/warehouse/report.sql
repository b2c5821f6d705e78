-- Everything the page shows, as one JSON document, from one pass over the commits.
-- The time zone of the session is UTC, so a timestamp, a timestamptz and a text mean the same.
-- Weeks begin on Monday. The page shows %(weeks)s weeks, and the %(top)s largest of each ranking.
with absent (author_type, co_authors) as (
    values (null, null)  -- instead of columns that the table does not have
), cell as materialized (
    select repository_id,
           coalesce(nullif(lower(btrim(author_email)), ''), author_name, '') as person,
           date_trunc('week', committer_timestamp::timestamptz)::date as week,
           max(author_name) as name,
           coalesce(bool_or(kind = 'SERVICE'), false) as is_bot,
           count(*) filter (where on_default_branch::boolean) as commits,
           count(*) filter (
               where on_default_branch::boolean and others not in ('[]', '{}', '')
           ) as co_authored,
           count(*) filter (where on_default_branch::boolean and is_merge::boolean) as merges,
           max(committer_timestamp::timestamptz) filter (where on_default_branch::boolean)
               as newest,
           count(*) filter (where not on_default_branch::boolean) as removed,
           max(committer_timestamp::timestamptz) filter (where not on_default_branch::boolean)
               as newest_removed
      from absent cross join lateral (
        select repository_id, author_email, author_name, committer_timestamp, on_default_branch,
               is_merge, author_type::text as kind, co_authors::text as others
          from commits
      ) as commit
     group by 1, 2, 3
), person as materialized (
    select person, bool_or(is_bot) as is_bot from cell group by 1
), period as (
    -- Commit dates can be wrong: weeks in the future are not shown.
    select max(week) - 7 * (%(weeks)s - 1) as first, max(week) as last
      from cell where commits > 0 and week <= current_date
), recent as not materialized (
    select cell.*
      from cell join period on cell.week between period.first and period.last
     where cell.commits > 0
), repository_week as materialized (
    select repository_id, week, sum(commits) as commits from recent group by 1, 2
), person_week as materialized (
    select person, week, max(name) as name, bool_or(person.is_bot) as is_bot,
           sum(commits) as commits, sum(merges) as merges, sum(co_authored) as co_authored
      from recent join person using (person) group by 1, 2
), contribution as materialized (
    select repository_id, person, bool_or(person.is_bot) as is_bot, sum(commits) as commits, sum(merges) as merges,
           max(newest) as newest, sum(removed) as removed, max(newest_removed) as newest_removed
      from cell join person using (person) group by 1, 2
), counted as (
    select repository_id, sum(commits) as commits, sum(merges) as merges,
           count(*) filter (where commits > 0 and not is_bot) as people, max(newest) as newest,
           sum(removed) as removed, count(*) filter (where removed > 0) as people_removed,
           max(newest_removed) as newest_removed
      from contribution group by 1
), repository as materialized (
    select r.id, b.display_id as branch, coalesce(b.status, 'not read') as status,
           -- A deleted repository stays in the table, and another may have taken its name.
           r.project_key || '/' || r.slug || case
               when count(*) over (partition by r.project_key, r.slug) > 1 then ' #' || r.id
               else '' end as name,
           case when r.url ~* '^https?://' then r.url end as url,
           coalesce(r.archived::boolean, false) as archived,
           coalesce(c.commits, 0) as commits, coalesce(c.merges, 0) as merges,
           coalesce(c.people, 0) as people, c.newest,
           greatest(current_date - c.newest::date, 0) as days,
           coalesce(c.removed, 0) as removed, c.people_removed, c.newest_removed
      from repositories as r
      left join default_branches as b on b.repository_id = r.id
      left join counted as c on c.repository_id = r.id
), busy_repository as (
    select repository_id, row_number() over (order by sum(commits) desc, repository_id) as place
      from repository_week group by repository_id
), busy_person as (
    select person, max(name) || case when bool_or(is_bot) then ' (bot)' else '' end as name,
           sum(commits) as commits, sum(merges) as merges,
           row_number() over (order by sum(commits) desc, person) as place,
           count(*) over (partition by max(name)) > 1 as has_namesake
      from person_week group by person
)
select json_build_object(
    'totals', (select row_to_json(t) from (
        select count(*) as repositories, sum(commits) as commits, sum(merges) as merges,
               (select count(distinct person) from contribution
                 where commits > 0 and not is_bot) as people,
               (select count(distinct person) from contribution
                 where commits > 0 and is_bot) as bots,
               sum(removed) as removed, max(newest) filter (where newest <= now()) as newest,
               (select count(*) from projects) as projects,
               -- Not every target adds this column.
               (select max((to_jsonb(b) ->> '_sdc_batched_at')::timestamptz)
                  from default_branches as b) as loaded
          from repository
    ) as t),
    'weeks', (select coalesce(json_agg(t order by week), '[]') from (
        select week, sum(commits) as commits, sum(merges) as merges,
               count(*) filter (where not is_bot) as people, sum(co_authored) as co_authored
          from person_week group by week
    ) as t),
    'busy_repositories', (
        select coalesce(json_agg(t order by place, week), '[]') from (
            select least(b.place, %(top)s + 1) as place, w.week,
                   case when b.place <= %(top)s then r.name else rest.name end as name,
                   sum(w.commits) as commits
              from repository_week as w
              join busy_repository as b on b.repository_id = w.repository_id
              join repository as r on r.id = w.repository_id
             cross join (
                select count(*) - %(top)s || ' others' as name from busy_repository
             ) as rest
             group by 1, 2, 3
        ) as t),
    'busy_people', (select coalesce(json_agg(t order by place), '[]') from (
        select least(place, %(top)s + 1) as place, sum(commits) as commits,
               sum(merges) as merges, case
                   when place > %(top)s then rest.name
                   when has_namesake then concat(busy_person.name, ' <', person, '>')
                   else coalesce(busy_person.name, 'without a name') end as name
          from busy_person
         cross join (
            select count(*) - %(top)s || ' others' as name from busy_person
         ) as rest
         group by 1, 4
    ) as t),
    'freshness', (select coalesce(json_agg(t), '[]') from (
        select status, width_bucket(days, array[8, 31, 91, 366]) as age, count(*) as repositories
          from repository
         group by 1, 2
    ) as t),
    'repositories', (select coalesce(json_agg(t), '[]') from (
        select * from repository order by newest desc nulls last, name limit %(rows)s
    ) as t),
    'unread', (select coalesce(json_agg(t), '[]') from (
        select * from repository where status <> 'ok' order by status, name limit %(rows)s
    ) as t),
    'unread_count', (select count(*) from repository where status <> 'ok'),
    'rewritten', (select coalesce(json_agg(t), '[]') from (
        select * from repository where removed > 0 order by removed desc, name limit %(rows)s
    ) as t),
    'rewritten_count', (select count(*) from repository where removed > 0)
)
