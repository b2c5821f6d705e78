-- Everything the page shows, as one JSON document, from one pass over the commits.
-- The time zone of the session is UTC, so a timestamp, a timestamptz and a text mean the same.
-- Weeks begin on Monday. The page shows %(weeks)s weeks, and the %(top)s largest of each ranking.
with cell as materialized (
    select repository_id, user_id, email, name, week,
           max(project_key) as project, max(project_key || '/' || repository_slug) as path,
           coalesce(bool_or(kind = 'SERVICE'), false) or right(name, 5) = '[bot]' as is_bot,
           count(*) filter (where not removed) as commits,
           count(*) filter (
               where not removed and others not in ('[]', '{}', '')
           ) as co_authored,
           count(*) filter (where not removed and is_merge) as merges,
           max(committed) filter (where not removed) as newest,
           count(*) filter (where removed) as removed,
           max(committed) filter (where removed) as newest_removed
      from (
        select repository_id::bigint as repository_id, project_key, repository_slug,
               coalesce(author_user_id::bigint, 0) as user_id,
               coalesce(lower(btrim(author_email)), '') as email,
               coalesce(btrim(author_name), '') as name,
               committer_timestamp::timestamptz as committed,
               date_trunc('week', committer_timestamp::timestamptz)::date as week,
               not on_default_branch::boolean as removed, is_merge::boolean as is_merge,
               -- Without the columns of authors, bots cannot be told from people.
               case when %(people)s then author_type::text end as kind, co_authors::text as others
          from {commits} as commits
      ) as commit
     group by 1, 2, 3, 4, 5

-- Which names and addresses belong to one person. The page states the rule.
), identity as (
    select user_id, email, name, bool_or(is_bot) as is_bot,
           max(coalesce(newest, newest_removed)) as newest
      from cell group by 1, 2, 3
), account as (
    select email, max(user_id) as user_id from identity where email <> '' group by 1
), holder as (
    select identity.*, coalesce(nullif(identity.user_id, 0), nullif(account.user_id, 0)) as account,
           identity.user_id > 0 as is_matched
      from identity left join account using (email)
), holding as materialized (
    select holder.*, first_value(lower(regexp_replace(name, '\s+', ' ', 'g'))) over (
               partition by account, case when account is null then email end,
                            case when account is null and email = '' then name end
               order by is_matched desc, newest desc nulls last, name desc
           ) as known_as
      from holder
), namesake as (
    select known_as, count(distinct account) as accounts, max(account) as account
      from holding where known_as <> '' group by 1
), person as materialized (
    select user_id, email, name, is_bot, is_matched, newest,
           case when coalesce(holding.account, only_one.account) is not null
                then 'user ' || coalesce(holding.account, only_one.account)
                when only_one.known_as is not null then 'name ' || known_as
                when email <> '' then 'email ' || email
                else 'name ' || known_as end as person
      from holding
      left join (select * from namesake where accounts < 2) as only_one using (known_as)
), somebody as materialized (
    select person, bool_or(is_bot) as is_bot,
           (array_agg(nullif(name, '')
                      order by name = '', is_matched desc, newest desc nulls last, name))[1] as name,
           (array_agg(email order by email = '', newest desc nulls last, email))[1] as email,
           count(distinct nullif(email, '')) as addresses
      from person group by 1
), contribution as materialized (
    select repository_id, person.person, bool_or(somebody.is_bot) as is_bot,
           sum(commits) as commits, sum(merges) as merges, max(cell.newest) as newest,
           sum(removed) as removed, max(newest_removed) as newest_removed,
           max(project) as project, max(path) as path
      from cell join person using (user_id, email, name)
      join somebody on somebody.person = person.person group by 1, 2
), counted as (
    select repository_id, sum(commits) as commits, sum(merges) as merges,
           count(*) filter (where commits > 0 and not is_bot) as people, max(newest) as newest,
           sum(removed) as removed, count(*) filter (where removed > 0) as people_removed,
           max(newest_removed) as newest_removed, max(project) as project, max(path) as path
      from contribution group by 1
), listed as (
    select coalesce(r.id, b.id, c.repository_id) as id, b.display_id as branch,
           case when %(statuses)s then coalesce(b.status, 'not read') else 'ok' end as status,
           coalesce(r.project_key, b.project_key, c.project) as project,
           coalesce(r.project_key || '/' || r.slug, b.project_key || '/' || b.repository_slug,
                    c.path) as path,
           case when r.url ~* '^https?://' then r.url end as url,
           coalesce(r.archived::boolean, false) as archived,
           coalesce(c.commits, 0) as commits, coalesce(c.merges, 0) as merges,
           coalesce(c.people, 0) as people, c.newest,
           greatest(current_date - c.newest::date, 0) as days,
           coalesce(c.removed, 0) as removed, c.people_removed, c.newest_removed
      from (select id::bigint as id, project_key, slug, url, archived
              from {repositories} as repositories) as r
      full join (select repository_id::bigint as id, project_key, repository_slug, status,
                        display_id from {default_branches} as default_branches) as b using (id)
      full join counted as c on c.repository_id = coalesce(r.id, b.id)
), period as (
    -- Commit dates can be wrong: weeks in the future are not shown.
    select max(week) - 7 * (2 * %(weeks)s - 1) as before, max(week) - 7 * (%(weeks)s - 1) as first,
           max(week) as last
      from cell where commits > 0 and week <= current_date
), recent as materialized (
    select repository_id, person.person, week, week >= period.first as is_now,
           bool_or(somebody.is_bot) as is_bot, sum(commits) as commits, sum(merges) as merges,
           sum(co_authored) as co_authored
      from cell join period on cell.week between period.before and period.last
      join person using (user_id, email, name)
      join somebody on somebody.person = person.person
     where cell.commits > 0 group by 1, 2, 3, 4
), repository_week as materialized (
    select repository_id, week, is_now, sum(commits) as commits from recent group by 1, 2, 3
), repository as materialized (
    select listed.*, coalesce(r.now, 0) as now, coalesce(r.before, 0) as before,
           -- A deleted repository stays in the table, and another may have taken its name.
           coalesce(path, '') || case
               when path is null or count(*) over (partition by path) > 1 then ' #' || id
               else '' end as name
      from listed
      left join (select repository_id, sum(commits) filter (where is_now) as now,
                        sum(commits) filter (where not is_now) as before
                   from repository_week group by 1) as r on r.repository_id = listed.id
), person_week as materialized (
    select person, week, is_now, is_bot, sum(commits) as commits, sum(merges) as merges,
           sum(co_authored) as co_authored
      from recent group by 1, 2, 3, 4
), busy_repository as (
    select repository_id, count(*) over () - %(top)s || ' others' as others,
           row_number() over (order by sum(commits) desc, repository_id) as place
      from repository_week where is_now group by repository_id
), active as materialized (
    select somebody.*, now, before, merges
      from somebody join (
        select person, coalesce(sum(commits) filter (where is_now), 0) as now,
               coalesce(sum(commits) filter (where not is_now), 0) as before,
               coalesce(sum(merges) filter (where is_now), 0) as merges
          from person_week group by 1
      ) as w using (person)
), busy_person as (
    select person, is_bot, now as commits, before, merges, addresses,
           count(*) over (partition by is_bot) - %(top)s || ' others' as others,
           row_number() over (partition by is_bot order by now desc, person) as place,
           coalesce(name, nullif(email, ''), 'without a name') || case
               when name is not null and count(*) over (partition by name) > 1
               then ' <' || coalesce(nullif(email, ''), person) || '>' else '' end as name
      from active where now > 0
), in_project as (
    select project, is_now, person, repository_id, is_bot, sum(recent.commits) as commits
      from recent join listed on listed.id = recent.repository_id group by 1, 2, 3, 4, 5
), project as materialized (
    select project, coalesce(sum(commits) filter (where is_now), 0) as now,
           coalesce(sum(commits) filter (where not is_now), 0) as before,
           count(distinct person) filter (where is_now and not is_bot) as people,
           count(distinct repository_id) filter (where is_now) as active
      from in_project group by 1
), ranked_project as materialized (
    select listed.project as key, p.name, listed.repositories, listed.newest,
           coalesce(now, 0) as now, coalesce(before, 0) as before, coalesce(people, 0) as people,
           coalesce(active, 0) as active
      from (select project, count(*) as repositories, max(newest) as newest
              from listed where project is not null group by 1) as listed
      left join project using (project)
      left join (select key, max(name) as name from {projects} as projects group by 1) as p
        on p.key = listed.project
)
select json_build_object(
    'totals', (select row_to_json(t) from (
        select count(*) as repositories, coalesce(sum(commits), 0) as commits,
               coalesce(sum(merges), 0) as merges,
               (select count(distinct person) from contribution
                 where commits > 0 and not is_bot) as people,
               (select count(distinct person) from contribution
                 where commits > 0 and is_bot) as bots,
               coalesce(sum(removed), 0) as removed,
               max(newest) filter (where newest <= now()) as newest,
               greatest((select count(*) from {projects} as projects),
                        count(distinct project)) as projects,
               -- Not every target adds this column.
               (select max(_sdc_batched_at::timestamptz)
                  from {default_branches} as default_branches) as loaded
          from repository
    ) as t),
    'period', (select json_build_object('first', first, 'last', last + 6) from period),
    'now', (select row_to_json(t) from (
        select coalesce(sum(commits), 0) as commits, coalesce(sum(merges), 0) as merges,
               coalesce(sum(commits) filter (where is_bot), 0) as by_bots,
               count(distinct person) filter (where not is_bot) as people,
               count(distinct repository_id) as repositories from recent where is_now
    ) as t),
    'before', (select row_to_json(t) from (
        select coalesce(sum(commits), 0) as commits, coalesce(sum(merges), 0) as merges,
               coalesce(sum(commits) filter (where is_bot), 0) as by_bots,
               count(distinct person) filter (where not is_bot) as people,
               count(distinct repository_id) as repositories from recent where not is_now
    ) as t),
    'weeks', (select coalesce(json_agg(t order by week), '[]') from (
        select week, sum(commits) as commits,
               coalesce(sum(merges) filter (where not is_bot), 0) as merges,
               coalesce(sum(commits) filter (where is_bot), 0) as by_bots,
               count(*) filter (where not is_bot) as people, sum(co_authored) as co_authored
          from person_week where is_now group by week
    ) as t),
    'projects', (select coalesce(json_agg(t), '[]') from (
        select * from ranked_project order by now desc, newest desc nulls last, key
         limit %(rows)s
    ) as t),
    'project_count', (select count(*) from ranked_project),
    'busy_repositories', (
        select coalesce(json_agg(t order by place, week), '[]') from (
            select least(b.place, %(top)s + 1) as place, w.week,
                   case when b.place <= %(top)s then r.name else b.others end as name,
                   sum(w.commits) as commits
              from repository_week as w
              join busy_repository as b on b.repository_id = w.repository_id
              join repository as r on r.id = w.repository_id
             where w.is_now
             group by 1, 2, 3
        ) as t),
    'busy_people', (select coalesce(json_agg(t order by place), '[]') from (
        select least(place, %(top)s + 1) as place, sum(commits) as commits,
               sum(merges) as merges, sum(before) as before, sum(addresses) as addresses,
               case when place > %(top)s then others else name end as name
          from busy_person
         where not is_bot
         group by 1, 6
    ) as t),
    'bots', (select coalesce(json_agg(t order by place), '[]') from (
        select * from busy_person where is_bot and place <= %(top)s
    ) as t),
    'bot_count', (select count(*) from busy_person where is_bot),
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
