package trace

import (
	"fmt"
	"slices"
)

// application is what files of memory per application say of one.
type application struct {
	functions int64
	mib       int64
}

// readMemory gives functions the 99th percentile of their allocated memory, the
// largest of several days. Memory of an application is shared evenly among its
// functions, as InVitro does, because each gets instances of its own here.
func (a *azure2019) readMemory(files []file) (perFunction bool, err error) {
	var apps map[[2]string]application
	for _, f := range ofKind(files, kindMemory) {
		id, err := where(f, append(slices.Clone(columns2019[:2]), columnAllocated)...)
		if err != nil {
			return false, err
		}
		function := slices.Index(f.head, columns2019[2])
		perFunction = perFunction || function >= 0
		if function < 0 && apps == nil {
			apps = a.applications()
		}
		err = rowsOf(f, func(l *lines, fields [][]byte) error {
			mib, ok := parseScaled(fields[id[2]], 1000) // thousandths
			if !ok || mib < 0 {
				return l.fail(fmt.Sprintf("memory %q in column %d is not a number of MB", fields[id[2]], id[2]+1), "mend the number")
			}
			rounded := max(1, (int64(mib)+999)/1000)
			owner, app := fields[id[0]], fields[id[1]]
			if function >= 0 {
				return a.functionMemory(l, owner, app, fields[function], rounded)
			}
			have, found := apps[[2]string{string(owner), string(app)}]
			if !found {
				a.skipped.add(l.name, l.line, "memory of an application without counts", 1, 0)
				return nil
			}
			have.mib = max(have.mib, rounded)
			apps[[2]string{string(owner), string(app)}] = have
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	a.share(apps)
	return perFunction, nil
}

func (a *azure2019) functionMemory(l *lines, owner, app, name []byte, mib int64) error {
	found := false
	a.names.each(owner, app, name, func(number int32) bool {
		found = true
		f := &a.names.functions[number]
		f.MiB = max(f.MiB, mib)
		return true
	})
	if !found {
		a.skipped.add(l.name, l.line, "memory of a function without counts", 1, 0)
	}
	return nil
}

func (a *azure2019) applications() map[[2]string]application {
	apps := map[[2]string]application{}
	for i := range a.names.functions {
		f := &a.names.functions[i]
		key := [2]string{f.Tenant, f.App}
		have := apps[key]
		have.functions++
		apps[key] = have
	}
	return apps
}

func (a *azure2019) share(apps map[[2]string]application) {
	if apps == nil {
		return
	}
	for i := range a.names.functions {
		f := &a.names.functions[i]
		if app := apps[[2]string{f.Tenant, f.App}]; app.mib > 0 {
			f.MiB = (app.mib + app.functions - 1) / app.functions
		}
	}
}
