package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// records are files that say which processes this server started, so that after
// a kill -9 the next one can end what is left of them.
type records struct {
	dir  string
	boot string
}

type record struct {
	Boot    string `json:"boot"`
	Pid     int    `json:"pid"` // also the process group
	Started uint64 `json:"started"`
	Session int    `json:"session"`
	UID     int    `json:"uid"`
}

// openRecords ends what an earlier server left running, and waits until it is gone.
func openRecords(dir string) (*records, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	r := &records{dir, string(boot)}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := r.bury(file); err != nil {
			return nil, fmt.Errorf("end a function of an earlier server: %w", err)
		}
	}
	return r, nil
}

func (r *records) path(slot int) string {
	return filepath.Join(r.dir, strconv.Itoa(slot)+".json")
}

func (r *records) add(slot, pid, uid int) error {
	s, err := readStat(pid)
	if err != nil {
		return err
	}
	text, err := json.Marshal(record{r.boot, pid, s.started, s.session, uid})
	if err != nil {
		return err
	}
	return os.WriteFile(r.path(slot), text, 0o600)
}

func (r *records) remove(slot int) { _ = os.Remove(r.path(slot)) } // a stale one is met with care

// bury ends the group that file records. An unreadable record is of a process
// that the server had not finished starting: it died with its server.
func (r *records) bury(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var old record
	if json.Unmarshal(text, &old) == nil && old.Boot == r.boot && old.Pid > 1 {
		for range 1000 {
			left, err := old.kill()
			if err != nil {
				return err
			}
			if left == 0 {
				return os.Remove(file)
			}
			time.Sleep(5 * time.Millisecond)
		}
		return fmt.Errorf("process group %d does not end: kill it and start again", old.Pid)
	}
	return os.Remove(file)
}

// kill signals the members of the recorded group that run, and returns how many
// there were. The kernel gives a group's number to no new process while the group
// has members, so a leader with another start time means that all of them ended.
func (old record) kill() (left int, err error) {
	if leader, err := readStat(old.Pid); err == nil && leader.started != old.Started {
		return 0, nil
	}
	var failed error
	err = everyPid(func(pid int) {
		s, err := readStat(pid)
		if err != nil || s.group != old.Pid || s.session != old.Session || s.started < old.Started || s.ended() {
			return
		}
		if owner(pid) != old.UID {
			return
		}
		left++
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			failed = fmt.Errorf("kill process %d: %w", pid, err)
		}
	})
	return left, errors.Join(err, failed)
}

// owner returns the user of a process, or -1.
func owner(pid int) int {
	var s syscall.Stat_t
	if syscall.Stat("/proc/"+strconv.Itoa(pid), &s) != nil {
		return -1
	}
	return int(s.Uid)
}
