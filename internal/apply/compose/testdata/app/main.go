// App is the application in the containers of the tests. Its first argument
// says what it does: serve (the default), health, exit CODE, or flap, which
// ends after a moment.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	switch mode := append(os.Args, "serve")[1]; mode {
	case "serve":
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	case "health":
		health()
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "flap":
		time.Sleep(700 * time.Millisecond)
		os.Exit(1)
	}
}

// serve answers /env with the environment, /file?path= with a file of the
// container, writes one with /write?path=&text=, and makes one that is long and
// takes no space with /grow?path=&size=.
func serve() error {
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\x00"))
	})
	http.HandleFunc("/args", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(os.Args, "\x00"))
	})
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(r.FormValue("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Write(data)
	})
	http.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.FormValue("path"), []byte(r.FormValue("text")), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	http.HandleFunc("/grow", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.FormValue("size"), 10, 64)
		f, err := os.Create(r.FormValue("path"))
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return http.ListenAndServe(":8080", nil)
}

func health() {
	if os.Getenv("SICK") != "" {
		os.Exit(1)
	}
	resp, err := http.Get("http://127.0.0.1:8080/env")
	if err != nil || resp.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
