// Package process is the pool of supervised processes on this machine. It runs
// unmodified Lambda binaries through package agent.
//
// A package is copied or unpacked once into <dir>/packages/<sha256>, verified
// against its digest, and started with the package as working directory. Each
// instance has a directory of its own (HOME and TMPDIR), removed when it is
// reaped.
//
// Run as root, the pool gives each instance a user of its own: uid and gid
// 60000 + slot, of the 4,000 slots from 60000 on. No other account may use them.
// Files that a function should write must be open to that user. Any other server
// user shares itself with its functions; Isolation says so.
//
// When other users cannot pass through <dir>, packages and work directories live
// in a directory "spillway-<hash of dir>" of a temporary directory, removed by Close.
//
//	<dir>/lock                     held by one server at a time
//	<dir>/instances/<slot>.json    what a killed server left running
//	<dir>/logs/<namespace>/<function>.log
package process
