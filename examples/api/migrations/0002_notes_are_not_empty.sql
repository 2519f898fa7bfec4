alter table notes add constraint notes_text_is_not_empty check (text <> '');
