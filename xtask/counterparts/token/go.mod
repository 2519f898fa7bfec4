module counterparts/token

go 1.26.0
