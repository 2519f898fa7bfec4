// Command token is the token server of ghcr's Bearer flow, for a registry that tests run against.
//
// Anybody gets a token that pulls; the one account given on the command line gets a token for whatever it asks.
// The rules are https://distribution.github.io/distribution/spec/auth/token/ and, where ghcr.io differs, ghcr's: the
// answer has no expires_in, and wrong credentials are refused with 403 and the code DENIED.
//
// The key lives in memory only. Its certificate is written to -certificate before the port is opened, so a registry
// started once the port answers finds the bundle it must trust.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"log"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// lifetime is how long a token is good for: ghcr's are good for five minutes.
const lifetime = 5 * time.Minute

// access is one entry of a token's access list, or of a scope.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

type server struct {
	key            *rsa.PrivateKey
	certificate    []byte
	issuer         string
	service        string
	user, password string
}

func main() {
	listen := flag.String("listen", "", "address to listen on")
	certificate := flag.String("certificate", "", "file to write the certificate of the signing key to")
	s := &server{}
	flag.StringVar(&s.issuer, "issuer", "", "issuer named in the tokens")
	flag.StringVar(&s.service, "service", "", "service (audience) named in the tokens")
	flag.StringVar(&s.user, "user", "", "the account that may push")
	flag.StringVar(&s.password, "password", "", "its password")
	flag.Parse()
	if err := s.makeKey(*certificate); err != nil {
		log.Fatalf("make the signing key: %v", err)
	}
	http.HandleFunc("GET /token", s.answer)
	log.Fatal(http.ListenAndServe(*listen, nil))
}

func (s *server) makeKey(file string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: s.issuer},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	if s.certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		return err
	}
	s.key = key
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate}), 0o644)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	user, password, named := r.BasicAuth()
	known := named && user == s.user && subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) == 1
	if named && !known {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}` + "\n"))
		return
	}
	query := r.URL.Query()
	if query.Get("service") != s.service {
		http.Error(w, "unknown service", http.StatusBadRequest)
		return
	}
	token, err := s.sign(user, granted(scopes(query["scope"]), known))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// scopes reads TYPE:NAME:ACTION,ACTION; NAME may hold a colon (a registry's port). Several scopes come as several
// parameters or separated by spaces.
func scopes(parameters []string) []access {
	list := []access{}
	for _, scope := range strings.Fields(strings.Join(parameters, " ")) {
		parts := strings.Split(scope, ":")
		if len(parts) < 3 {
			continue
		}
		last := len(parts) - 1
		list = append(list, access{parts[0], strings.Join(parts[1:last], ":"), strings.Split(parts[last], ",")})
	}
	return list
}

// granted is what of the request is allowed. Who may push may delete too, asked for or not: clients ask for "push"
// and then delete a manifest.
func granted(requested []access, known bool) []access {
	list := []access{}
	for _, a := range requested {
		if !known {
			a.Actions = slices.DeleteFunc(a.Actions, func(action string) bool { return action != "pull" })
			if a.Type != "repository" {
				a.Actions = nil
			}
		} else if slices.Contains(a.Actions, "push") && !slices.Contains(a.Actions, "delete") {
			a.Actions = append(a.Actions, "delete")
		}
		if len(a.Actions) > 0 {
			list = append(list, a)
		}
	}
	return list
}

func (s *server) sign(subject string, list []access) (string, error) {
	now := time.Now()
	header := map[string]any{"typ": "JWT", "alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(s.certificate)}}
	claims := map[string]any{
		"iss": s.issuer, "sub": subject, "aud": s.service, "jti": rand.Text(), "access": list,
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Second).Unix(), "exp": now.Add(lifetime).Unix(),
	}
	var parts []string
	for _, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
