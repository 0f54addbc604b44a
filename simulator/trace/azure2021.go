package trace

import (
	"fmt"
	"time"
)

// epoch2021 is the first day of the data set, from which its seconds count.
var epoch2021 = time.Date(2021, 1, 31, 0, 0, 0, 0, time.UTC)

// read2021 reads rows with the time of a call's end. The application is the tenant
// too, as the data set names no owners. A start before the data set's beginning
// begins the trace earlier.
func read2021(f file, n *names) (rowReader, error) {
	places, err := where(f, columns2021...)
	if err != nil {
		return nil, err
	}
	return func(l *lines, fields [][]byte) (row, string, error) {
		app, function := fields[places[0]], fields[places[1]]
		if len(app) == 0 || len(function) == 0 {
			return row{}, "", l.fail("app or func is empty", "name both")
		}
		end, ok := parseScaled(fields[places[2]], time.Second)
		if !ok || end < 0 {
			return row{}, "", l.fail(fmt.Sprintf("end_timestamp %q is not a number of seconds from 0", fields[places[2]]), "mend the number")
		}
		duration, ok := parseScaled(fields[places[3]], time.Second)
		if !ok || duration < 0 {
			return row{}, "", l.fail(fmt.Sprintf("duration %q is not a number of seconds from 0", fields[places[3]]), "mend the number")
		}
		number, _ := n.number(app, app, function, nil)
		return row{at: int64(end - duration), duration: duration, init: -1, function: number}, "", nil
	}, nil
}
