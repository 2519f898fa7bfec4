-- Into an empty table only: seeding twice changes nothing.
insert into notes (text)
select text from (values
    (1, 'Every pull request has a page of its own.'),
    (2, 'This row comes from the preview''s own database.'),
    (3, 'Text is <b>escaped</b> & shown as written.')
) as seeds (place, text)
where not exists (select from notes)
order by place;
