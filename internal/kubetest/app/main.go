// Command app is what pods of kubetest's own tests run: it answers over HTTP, or
// writes its arguments and ends with the number in STATUS.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		fmt.Println("serving")
		err := http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s from %s", r.URL.Path, os.Getenv("HOSTNAME"))
		}))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(strings.Join(os.Args[1:], " "))
	status, _ := strconv.Atoi(os.Getenv("STATUS")) // nothing is success
	os.Exit(status)
}
