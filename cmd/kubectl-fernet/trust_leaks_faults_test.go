// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// leakFault is what a command meets.
type leakFault struct {
	name     string
	of       string              // what a command has to use to meet it; empty: all do
	flag     string              // that a command has to have for it
	lands    bool                // the command may write all the same, and so needs a place of its own
	harmless bool                // the command ends as without it
	unless   func(leakVerb) bool // who may repeat what was typed: a completion, to the shell
	arrange  func(r *leakRun)
	hit      func(r *leakRun) bool // that it was met; nil: the exit code is another one
	shown    string                // what at least one of the commands says of it
}

var leakFaults = slices.Concat(
	[]leakFault{
		{name: "none", lands: true, harmless: true, arrange: func(*leakRun) {}},
		{name: "seen from below", lands: true, harmless: true, arrange: (*leakRun).traced},
		{name: "seen from below by its children", of: usesConfig, lands: true, harmless: true, arrange: (*leakRun).tracedWithPlugin},
	},
	serverFaults(),
	connectionFaults, envFaults, ledgerFaults(), keyFaults, configFaults, argumentFaults, stdoutFaults, panicFaults(),
)

// serverFaults answer every request, or those that carry something, with what quotes the
// request and the canaries.
func serverFaults() (all []leakFault) {
	kinds := map[string]string{"every request": usesServer, "writes": usesWrites}
	replies := []struct {
		name  string
		reply func(q faultproxy.Request, echo func([]byte) string) faultproxy.Action
	}{
		{"400", statusReply(400)}, {"401", statusReply(401)}, {"403", statusReply(403)}, {"422", statusReply(422)}, {"500", statusReply(500)},
		{"a reply that breaks off", func(q faultproxy.Request, echo func([]byte) string) faultproxy.Action {
			header, body := quoting(http.StatusInternalServerError, echo, q)
			return faultproxy.HalfStatus(http.StatusInternalServerError, header, body)
		}},
		{"HTML", func(q faultproxy.Request, echo func([]byte) string) faultproxy.Action {
			return faultproxy.Status(http.StatusBadGateway, http.Header{"Content-Type": {"text/html"}}, []byte("<html>"+echo(q.Body)+"</html>"))
		}},
		{"no JSON", func(q faultproxy.Request, echo func([]byte) string) faultproxy.Action {
			return faultproxy.Status(http.StatusOK, http.Header{"Content-Type": {"application/json"}}, []byte(`{"kind":"`+echo(q.Body)))
		}},
	}
	for _, kind := range []string{"every request", "writes"} {
		for _, reply := range replies {
			all = append(all, leakFault{
				name: kind + " answered with " + reply.name, of: kinds[kind],
				arrange: func(r *leakRun) {
					echo := echoes[r.n%len(echoes)]
					r.proxy.Reset(func(q faultproxy.Request) faultproxy.Action {
						if kind == "writes" && (q.Method == http.MethodGet || strings.Contains(q.Path, "authorization")) {
							return nil
						}
						r.answered.Store(true)
						q.Body = append([]byte(strings.Join(r.forbidden, " ")), q.Body...)
						return reply.reply(q, echo)
					})
				},
				hit: func(r *leakRun) bool { return r.answered.Load() },
			})
		}
	}
	return all
}

func statusReply(code int) func(faultproxy.Request, func([]byte) string) faultproxy.Action {
	return func(q faultproxy.Request, echo func([]byte) string) faultproxy.Action {
		header, body := quoting(code, echo, q)
		return faultproxy.Status(code, header, body)
	}
}

var connectionFaults = []leakFault{
	{name: "connection refused", of: usesServer, arrange: func(r *leakRun) { r.proxy.Close() }},
	{name: "a certificate of nobody", of: usesServer, arrange: func(r *leakRun) { r.tls(false) }},
	{name: "a certificate of another name", of: usesServer, arrange: func(r *leakRun) { r.tls(true) }},
	{name: "TLS to a server that has none", of: usesServer, arrange: func(r *leakRun) {
		r.configure(func(c *clientcmdapi.Config) {
			c.Clusters["localkube"].Server = strings.Replace(c.Clusters["localkube"].Server, "http:", "https:", 1)
		})
	}},
}

// tls puts a server with a canary in its certificate in the place of the API server.
func (r *leakRun) tls(trusted bool) {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	made := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{strings.Trim(r.key(), "-_=")}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	if err != nil {
		r.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	r.Cleanup(server.Close)
	r.configure(func(c *clientcmdapi.Config) {
		c.Clusters["localkube"].Server = server.URL
		if trusted {
			c.Clusters["localkube"].CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
	})
}

// configure changes the kubeconfig.
func (r *leakRun) configure(change func(*clientcmdapi.Config)) {
	r.Helper()
	config, err := clientcmd.LoadFromFile(r.kubeconfig)
	if err != nil {
		r.Fatal(err)
	}
	change(config)
	if err := clientcmd.WriteToFile(*config, r.kubeconfig); err != nil {
		r.Fatal(err)
	}
}

// edit changes a file of the folder.
func (r *leakRun) edit(name string, change func(text string) string) {
	r.Helper()
	file := filepath.Join(r.dir, name)
	write(r.T, file, change(string(read(r.T, file))))
}

// mode changes a file's mode, and takes root the right to get past it.
func (r *leakRun) mode(name string, mode os.FileMode) {
	r.Helper()
	if err := os.Chmod(filepath.Join(r.dir, name), mode); err != nil { // #nosec G302 -- nobody is to read it
		r.Fatal(err)
	}
	if os.Geteuid() == 0 {
		r.before = []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}
	}
}

// breaks puts a line with the value into the .env.
func breaks(line string) func(r *leakRun) {
	return func(r *leakRun) {
		r.edit(".env", func(text string) string { return text + strings.ReplaceAll(line, "VALUE", r.value()) + "\n" })
	}
}

var envFaults = []leakFault{
	{name: ".env unreadable", of: usesEnv, hit: says("permission denied"), arrange: func(r *leakRun) { r.mode(".env", 0) }},
	{name: "a quote without an end", of: usesEnv, hit: says("is never closed"), arrange: breaks(`SECRET_X='VALUE`)},
	{name: "text behind a quote", of: usesEnv, hit: says("text after the closing quote"), arrange: breaks(`SECRET_X='VALUE'VALUE`)},
	{name: "a value without a name", of: usesEnv, hit: says("no `=` in this line"), arrange: breaks(`VALUE`)},
	{name: "a value as a name", of: usesEnv, hit: says("the character < in a name"), arrange: breaks(`VALUE=x`)},
	{name: "NUL in a value", of: usesEnv, hit: says("a NUL byte"), arrange: breaks("SECRET_X='VALUE\x00'")},
	{name: "a value that is not UTF-8", of: usesEnv, hit: says("not UTF-8"), arrange: breaks("SECRET_X='VALUE\xff'")},
}

// ledgerFaults put a value and a key into each column of a row, or break the file.
func ledgerFaults() (all []leakFault) {
	header := strings.Split("time,operation,state,cluster,namespace,secret,generation,env_key,key_id,token,binding,uid,since,mac", ",")
	for column, name := range header {
		fault := leakFault{name: "a canary as the ledger's " + name, of: usesLedger, hit: says(ledgerName + ":"), arrange: func(r *leakRun) { r.cell(column) }}
		if name == "cluster" { // which can have any name; then it is a row of another cluster
			fault.hit, fault.lands = always, true
		}
		all = append(all, fault)
	}
	return append(all,
		leakFault{name: "a ledger that is cut", of: usesLedger, lands: true, hit: always, arrange: func(r *leakRun) {
			r.ledger(func(rows string) string { return rows + "2026-01-02T03:04:05Z,push,planned," + r.value()[2:] + r.key() })
		}},
		leakFault{name: "a quote in the ledger", of: usesLedger, arrange: func(r *leakRun) {
			r.ledger(func(rows string) string { return rows + r.value() + "\n" + r.key() + "\n" })
		}},
		leakFault{name: "a value and a key in place of the ledger", of: usesLedger, arrange: func(r *leakRun) {
			r.ledger(func(string) string { return r.value() + "\n" + r.key() + "\n" })
		}},
		leakFault{name: "a ledger that cannot be read", of: usesLedger, arrange: func(r *leakRun) { r.lockedLedger(0) }},
		leakFault{name: "a full disk", of: usesRows, lands: true, arrange: withEnv(fullVariable + "=1")},
		leakFault{name: "a ledger that cannot be written", of: usesRows, arrange: func(r *leakRun) { r.lockedLedger(0o400) }},
		leakFault{name: "a disk that gets full", of: usesRows, lands: true, shown: "no space left on device", hit: always, arrange: withEnv(fullVariable + "=2")},
		leakFault{name: "a lock that fails", of: usesFiles, lands: true, shown: "injected fault", hit: always, arrange: withEnv(failVariable + "=1")},
		leakFault{name: "a file that fails", of: usesFiles, lands: true, shown: "injected fault", hit: always, arrange: withEnv(failVariable + "=5")},
	)
}

func always(*leakRun) bool { return true }

// says is the hit of a fault that the command has to speak of.
func says(text string) func(*leakRun) bool {
	return func(r *leakRun) bool { return strings.Contains(r.stderr.String(), text) }
}

func withEnv(variable string) func(*leakRun) {
	return func(r *leakRun) { r.env = append(r.env, variable) }
}

// ledger changes the ledger; what stands in it then is the fault's.
func (r *leakRun) ledger(change func(rows string) string) {
	r.Helper()
	r.planted = append(r.planted, ledgerName)
	r.edit(ledgerName, change)
}

// lockedLedger takes rights to the ledger away, and makes an empty one first where there is none.
func (r *leakRun) lockedLedger(mode os.FileMode) {
	r.Helper()
	r.edit(ledgerName, func(rows string) string { return rows })
	r.mode(ledgerName, mode)
}

const ledgerColumns = 14

// cell adds a copy of the last row in which one cell is a value and a key.
func (r *leakRun) cell(column int) {
	r.Helper()
	r.ledger(func(rows string) string {
		lines := strings.Split(strings.TrimSpace(rows), "\n")
		cells := append(strings.Split(lines[len(lines)-1], ","), make([]string, ledgerColumns)...)[:ledgerColumns]
		cells[column] = `"` + strings.ReplaceAll(r.value()+r.key(), `"`, `""`) + `"`
		return strings.Join(append(lines, strings.Join(cells, ",")), "\n") + "\n"
	})
}

// keyFile has the command take its keys from a file.
func keyFile(text func(r *leakRun) string) func(r *leakRun) {
	return func(r *leakRun) {
		r.planted = append(r.planted, "keys")
		write(r.T, filepath.Join(r.dir, "keys"), text(r)+"\n")
		r.args = append([]string{r.args[0], "--key-file", "keys"}, r.args[1:]...)
	}
}

// variable sets FERNET_KEY.
func variable(text func(r *leakRun) string) func(r *leakRun) {
	return func(r *leakRun) { r.env = append(r.env, "FERNET_KEY="+text(r)) }
}

var keyFaults = []leakFault{
	{name: "a value in place of a key file", of: usesKeys, flag: "key-file", arrange: keyFile((*leakRun).value)},
	{name: "a value as KEY of a key file", of: usesKeys, flag: "key-file", arrange: keyFile(func(r *leakRun) string { return "KEY=" + r.value() })},
	{name: "a key in place of a key file", of: usesKeys, flag: "key-file", arrange: keyFile((*leakRun).key)},
	{name: "a value as FERNET_KEY", of: usesKeys, arrange: variable((*leakRun).value)},
	{name: "a broken FERNET_KEY", of: usesKeys, arrange: variable(func(r *leakRun) string { return r.key()[:40] + " " + r.key()[40:] })},
	{name: "a value as FERNET_KEY_PREVIOUS", of: usesKeys, arrange: func(r *leakRun) {
		r.env = append(r.env, "FERNET_KEY="+r.key(), "FERNET_KEY_PREVIOUS="+r.value())
	}},
}

// config replaces the kubeconfig.
func config(text string) func(r *leakRun) {
	return func(r *leakRun) {
		write(r.T, r.kubeconfig, strings.NewReplacer("VALUE", r.value(), "KEY", strconv.Quote(r.key())).Replace(text))
	}
}

var configFaults = []leakFault{
	{name: "a kubeconfig that is a value", of: usesConfig, arrange: config("VALUE\nVALUE: [\n")},
	{name: "a kubeconfig with a value in the place of a list", of: usesConfig, arrange: config("apiVersion: v1\nkind: Config\nclusters: KEY\n")},
	{name: "a kubeconfig of another kind", of: usesConfig, arrange: config("apiVersion: KEY\nkind: KEY\n")},
	{name: "a key as the server", of: usesConfig, arrange: func(r *leakRun) {
		r.configure(func(c *clientcmdapi.Config) {
			c.Clusters["localkube"].Server = "https://user:" + r.key() + "@127.0.0.1:1/" + r.key()
		})
	}},
	{name: "a key as the current context", of: usesConfig, arrange: func(r *leakRun) {
		r.configure(func(c *clientcmdapi.Config) { c.CurrentContext = r.key() })
	}},
	{name: "a key as a certificate's file", of: usesConfig, arrange: func(r *leakRun) {
		r.configure(func(c *clientcmdapi.Config) {
			c.Clusters["localkube"].Server, c.Clusters["localkube"].CertificateAuthority = "https://127.0.0.1:1", r.key()
		})
	}},
	{name: "a plugin that says a value and a key", of: usesConfig, arrange: func(r *leakRun) {
		r.plugin("cat .env >&2; exit 1")
	}},
	{name: "a plugin that is a key", of: usesConfig, arrange: func(r *leakRun) {
		r.plugin("")
		r.configure(func(c *clientcmdapi.Config) {
			c.AuthInfos[c.Contexts[c.CurrentContext].AuthInfo].Exec.Command = r.key()
		})
	}},
}

// plugin has a shell script give the credentials.
func (r *leakRun) plugin(script string) {
	r.Helper()
	write(r.T, r.kubeconfig, string(read(r.T, testkube.Kubeconfig(r.T)))) // without TLS there are no credentials
	r.configure(func(c *clientcmdapi.Config) {
		user := &clientcmdapi.AuthInfo{}
		c.AuthInfos[c.Contexts[c.CurrentContext].AuthInfo] = user
		user.Exec = &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: "sh", Args: []string{"-c", script},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}
	})
}

// argument gives the command words; where they stand for a key, it refuses them.
func argument(words ...string) func(r *leakRun) {
	return func(r *leakRun) {
		for _, word := range words {
			r.flags = append(r.flags, strings.NewReplacer("VALUE", r.value(), "KEY", r.key()).Replace(word))
		}
	}
}

var argumentFaults = []leakFault{
	{name: "a key as an argument", arrange: argument("KEY")},
	{name: "a key as a flag", arrange: argument("--KEY")},
	{name: "a key as a flag's value", arrange: argument("--env=KEY")},
	{name: "a value as a flag's value", unless: completes, arrange: argument("--color=VALUE")},
	{name: "a value as a length of time", of: usesServer, arrange: argument("--request-timeout=VALUE")},
	{name: "a value as a number", unless: completes, arrange: argument("-v", "VALUE")},
	{name: "a value as the value of an unknown flag", unless: completes, arrange: argument("--udpate=VALUE")},
}

var stdoutFaults = []leakFault{
	{name: "nobody reads stdout", of: usesStdout, lands: true, hit: always, arrange: func(r *leakRun) {
		from, to, err := os.Pipe()
		if err != nil {
			r.Fatal(err)
		}
		_ = from.Close()
		r.out = to
		r.Cleanup(func() { _ = to.Close() })
	}},
	{name: "stdout is full", of: usesStdout, lands: true, shown: "no space left on device", hit: always, arrange: func(r *leakRun) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			r.Fatal(err)
		}
		r.out = full
		r.Cleanup(func() { _ = full.Close() })
	}},
}

// panicVariable holds, in a command's environment, at which of its calls of the file system
// it panics, with what is in the .env.
const panicVariable = "FERNET_TEST_PANIC_CALL"

// panicked is what is then said.
const panicked = "internal error (*fmt.wrapError)"

func panics() {
	text, err := os.ReadFile(".env")
	panic(fmt.Errorf("%s, %w", text, err))
}

// panicFaults panic at calls of the file system: the first ones are of the lock, later ones
// of the ledger, which a goroutine of its own may write.
func panicFaults() (all []leakFault) {
	for _, at := range []int{1, 2, 4, 8, 16, 24} {
		all = append(all, leakFault{
			name: fmt.Sprintf("a panic at file call %d", at), of: usesFiles, lands: true, arrange: withEnv(fmt.Sprintf("%s=%d", panicVariable, at)),
			shown: panicked,
			hit: func(r *leakRun) bool {
				return r.code == r.command.code || strings.Contains(r.stderr.String(), panicked)
			},
		})
	}
	return all
}

// traced runs the command under strace, in a repository of git. What it writes, to files,
// streams and the API server, is looked at, and what it gives to programs that it starts.
func (r *leakRun) traced() {
	r.Helper()
	if out, err := exec.Command("git", "init", "--quiet", r.dir).CombinedOutput(); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	write(r.T, filepath.Join(r.dir, ".gitignore"), ".env*\n")
	r.strace = filepath.Join(r.TempDir(), "strace")
	r.before = []string{"strace", "-f", "-y", "-v", "-qq", "-s", "1000000", "-o", r.strace,
		"-e", "trace=execve,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,rename,renameat,renameat2,link,linkat,symlinkat,mkdirat"}
}

// tracedWithPlugin has a credential plugin besides, and a key in the environment.
func (r *leakRun) tracedWithPlugin() {
	r.Helper()
	r.traced()
	r.kubeconfig = pluginKubeconfig(r.T, "")
	if r.command.has(usesKeys) && !strings.HasPrefix(r.command.args, "rotate") && !strings.HasPrefix(r.command.args, "retire") { // which change a file with keys
		r.env = append(r.env, "FERNET_KEY="+keysOf(r.T, r.dir)[0])
	}
}

// The lines of strace that may hold a canary: the command's own start; what goes into the .env
// and files like it; of a command that reveals, what goes to stdout; and the command of
// exec-env, with its output.
var (
	straceStart  = regexp.MustCompile(`^\d+ +execve\("[^"]*/kubectl-fernet", `)
	straceEnv    = regexp.MustCompile(`^\d+ +p?write\w*\(\d+<[^>]*/(\.env|new\.env|pulled\.env)(\.fernet-tmp)?>`)
	straceReveal = regexp.MustCompile(`^\d+ +(write\(1<|execve\("[^"]*", \["env"\])`)
	stracePlugin = regexp.MustCompile(`(?m)^\d+ +execve\("[^"]*", \["sh", "-c", `)
)

// lookBelow looks through what strace saw.
func (r *leakRun) lookBelow() {
	r.Helper()
	var seen strings.Builder
	started := false
	for line := range strings.Lines(string(read(r.T, r.strace))) {
		start := straceStart.MatchString(line)
		started = started || start
		if !start && !straceEnv.MatchString(line) && !(r.command.reveals() && straceReveal.MatchString(line)) {
			seen.WriteString(line)
		}
	}
	noRunOf(r.T, "a system call", cipher.ReplaceAllString(seen.String(), ""), r.forbidden)
	asks := r.fault.of == usesConfig && r.command.has(usesConfig)
	if !started || asks && !stracePlugin.MatchString(seen.String()) {
		r.Errorf("strace saw the command: %t, a credential plugin that was to be there: %t", started, !asks || stracePlugin.MatchString(seen.String()))
	}
}
