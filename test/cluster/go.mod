module github.com/spillway-dev/spillway/test/cluster

go 1.26.0
