module example

go 1.19

require fdwatch v0.0.0

replace fdwatch => ../../Clients/go
