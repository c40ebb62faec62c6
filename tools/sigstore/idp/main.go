// Idp is OpenID Connect issuers for tests, which mint the tokens that their
// caller asks for: discovery, keys and signatures are real, the login is left
// out.
//
//	idp -addr HOST:PORT NAME...
//
// Each NAME is an issuer of its own, with its own key, at http://HOST:PORT/NAME:
//
//	GET  /NAME/.well-known/openid-configuration
//	GET  /NAME/keys
//	POST /NAME/mint              claims -> {"value": token}
//	POST /NAME/jobs              claims -> {"value": request token}
//	GET  /NAME/mint?audience=A   with "Authorization: Bearer REQUEST-TOKEN" -> {"value": token}
//
// The last two are what a job of GitHub Actions has as
// ACTIONS_ID_TOKEN_REQUEST_TOKEN and ACTIONS_ID_TOKEN_REQUEST_URL. Claims that
// are posted replace the usual ones, so that a test can have a token that is
// expired, for another audience, or of another issuer.
package main

import (
	"flag"
	"log"
	"net/http"
	"time"
)

func main() {
	addr := flag.String("addr", "", "listen on `HOST:PORT`")
	flag.Parse()
	mux := http.NewServeMux()
	for _, name := range flag.Args() {
		i, err := newIssuer("http://" + *addr + "/" + name)
		if err != nil {
			log.Fatal(err)
		}
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, i.handler()))
		log.Printf("issuer %s", i.url)
	}
	server := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
