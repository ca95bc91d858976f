// Command greeter is the second service that the pipelines deliver: Go, without a
// database, in an image that holds nothing but the program.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func main() {
	version := map[string]string{"version": os.Getenv("APP_VERSION"), "commit": os.Getenv("APP_COMMIT")}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", version["version"])
		if err := json.NewEncoder(w).Encode(version); err != nil {
			log.Printf("answering %s: %v", r.URL.Path, err)
		}
	})
	http.HandleFunc("/unwell", func(w http.ResponseWriter, _ *http.Request) {
		log.Print("whoever asks is told that this service is unwell")
		http.Error(w, "unwell", http.StatusInternalServerError)
	})
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
