module fdwatch

go 1.19
