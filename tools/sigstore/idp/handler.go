package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxClaims bounds the claims of a token, as JSON.
const maxClaims = 1 << 20

func (i *issuer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { reply(w, i.discovery()) })
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
	})
	mux.HandleFunc("POST /mint", i.serveMint)
	mux.HandleFunc("POST /jobs", i.serveStart)
	mux.HandleFunc("GET /mint", i.serveJob)
	return mux
}

func (i *issuer) discovery() map[string]any {
	return map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/keys",
		"authorization_endpoint":                i.url + "/authorize",
		"token_endpoint":                        i.url + "/token",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{i.key.Algorithm},
	}
}

func (i *issuer) serveMint(w http.ResponseWriter, r *http.Request) {
	c, ok := readClaims(w, r)
	if !ok {
		return
	}
	token, err := i.mint("sigstore", c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, map[string]string{"value": token})
}

func (i *issuer) serveStart(w http.ResponseWriter, r *http.Request) {
	if c, ok := readClaims(w, r); ok {
		reply(w, map[string]string{"value": i.start(c)})
	}
}

// serveJob mints for a job, which shows its request token.
func (i *issuer) serveJob(w http.ResponseWriter, r *http.Request) {
	// The scheme's name is written in either case: "bearer", "Bearer".
	scheme, requestToken, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		http.Error(w, "a bearer token is wanted", http.StatusUnauthorized)
		return
	}
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		// GitHub's default is the owner's URL, which no signer wants.
		http.Error(w, "audience is missing", http.StatusBadRequest)
		return
	}
	token, err := i.tokenFor(requestToken, audience)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	reply(w, map[string]string{"value": token})
}

func readClaims(w http.ResponseWriter, r *http.Request) (claims, bool) {
	c := claims{}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxClaims))
	// Numbers are signed as they were written.
	dec.UseNumber()
	if err := dec.Decode(&c); err != nil {
		http.Error(w, "claims: "+err.Error(), http.StatusBadRequest)
		return nil, false
	}
	return c, true
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is the client's hanging up.
	_ = json.NewEncoder(w).Encode(v)
}
