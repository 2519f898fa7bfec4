-- Into an empty table only: seeding twice changes nothing.
insert into notes (text, author)
select text, author from (values
    (1, 'Every pull request has a page of its own.', 'Ada'),
    (2, 'This row comes from the preview''s own database.', 'Grace'),
    (3, 'Text is <b>escaped</b> & shown as written.', 'Barbara')
) as seeds (place, text, author)
where not exists (select from notes)
order by place;
