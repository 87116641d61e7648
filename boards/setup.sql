-- What the boards' queries call. It writes numbers, words and names of pages; it computes nothing.

-- dbt Charts reads a text such as 2025.4 as a number. A word joiner, which nobody sees, keeps it a text.
create or replace temp macro text(word) as case
    when try_cast(word as double) is null then word
    else word || chr(8288)
end;

create or replace temp macro words(code) as coalesce(text(replace(code, '_', ' ')), '');

create or replace temp macro readable(number, unit, reason, currency) as case
    when number is null then coalesce(replace(reason, '_', ' '), '')
    when unit = 'share' then format('{:.1f} %', number * 100)
    when unit = 'currency' and abs(number) >= 100 then format('{:,.0f} {}', number, currency)
    when unit = 'currency' then format('{:,.2f} {}', number, currency)
    when unit = 'milliseconds' then format('{:,.0f} ms', number)
    when unit in ('count', 'points', 'days', 'hours') then text(format('{:,.0f}', number))
    else text(format('{:.3f}', number))
end;

create or replace temp macro page(kind, id) as case
    when regexp_full_match(id, '[a-z0-9_]{1,60}') then format('{}_{}.html', kind, id)
    else format('{}_{}.html', kind, md5(id))
end;
