// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP service that reads its secrets, and the keys that open them, from one
// mounted folder. GET / answers those who send SECRET_API_TOKEN as a bearer token; GET
// /rotation names the secrets that are still under a previous key. Needs npm's
// `fernet`, which opens text, not bytes.

const crypto = require('crypto');
const fernet = require('fernet');
const fs = require('fs');
const http = require('http');
const path = require('path');

// files gives the contents of a folder, by name. A mounted one has ..data beside the names.
function files(folder) {
  const paths = fs.readdirSync(folder).sort().map((name) => path.join(folder, name));
  const regular = paths.filter((file) => fs.statSync(file).isFile());
  return Object.fromEntries(regular.map((file) => [path.basename(file), fs.readFileSync(file, 'utf8').trim()]));
}

function open(secrets, name, token) {
  for (const [position, secret] of secrets.entries()) {
    try {
      const value = new fernet.Token({ secret, token, ttl: 0 }).decode();
      return { value, previous: position > 0 };
    } catch {
      // the next key
    }
  }
  throw new Error(`${name}: no key opens it`);
}

// read gives what was opened, by name; the primary key comes first. Every other file must
// be a token that opens: who has no key cannot choose a value.
function read(folder) {
  const { FERNET_KEY, FERNET_KEY_PREVIOUS = '', ...tokens } = files(folder);
  const texts = `${FERNET_KEY},${FERNET_KEY_PREVIOUS}`.split(/[\s,]+/).filter(Boolean);
  const secrets = texts.map((text) => new fernet.Secret(text));
  const opened = {};
  for (const [name, token] of Object.entries(tokens)) opened[name] = open(secrets, name, token);
  if (!opened.SECRET_API_TOKEN?.value) throw new Error(`${folder}: no SECRET_API_TOKEN, or it is empty`);
  return opened;
}

function same(a, b) {
  const digest = (text) => crypto.createHash('sha256').update(text).digest();
  return crypto.timingSafeEqual(digest(a), digest(b));
}

function main(env) {
  const opened = read(env.SECRETS_DIR || '/etc/fernet');
  const old = Object.keys(opened).filter((name) => opened[name].previous);
  old.forEach((name) => console.log(`${name} is still under a previous key`));
  const want = `Bearer ${opened.SECRET_API_TOKEN.value}`;

  const server = http.createServer((request, response) => {
    const answer = (code, text) => response.writeHead(code).end(`${text}\n`);
    if (request.url === '/rotation') return answer(200, old.join('\n'));
    if (request.url !== '/') return answer(404, 'not found');
    if (same(request.headers.authorization || '', want)) return answer(200, 'hello');
    return answer(401, 'unauthorized');
  });
  server.listen(env.PORT || 8080, env.HOST, () => {
    const { address, port } = server.address();
    console.log(`listening on ${address}:${port}`);
  });
}

main(process.env);
