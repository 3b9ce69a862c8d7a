// SPDX-License-Identifier: Apache-2.0
//
// A small HTTP service that reads its secrets from a mounted folder. GET /
// answers those who send SECRET-API-TOKEN as a bearer token; GET /rotation names
// the secrets that are still under a previous key. Needs npm's `fernet`, which
// opens text, not bytes.

const crypto = require('crypto');
const fernet = require('fernet');
const fs = require('fs');
const http = require('http');
const path = require('path');

// keys gives the keys, the primary one first.
function keys(env) {
  const texts = `${env.FERNET_KEY},${env.FERNET_KEY_PREVIOUS || ''}`;
  return texts.split(/[\s,]+/).filter(Boolean).map((text) => new fernet.Secret(text));
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

// read gives what was opened, by name. Every file must be a token that opens: who
// has no key cannot choose a value. A mounted folder has ..data beside the names.
function read(folder, secrets) {
  const opened = {};
  for (const name of fs.readdirSync(folder).sort()) {
    const file = path.join(folder, name);
    if (fs.statSync(file).isFile()) {
      opened[name] = open(secrets, name, fs.readFileSync(file, 'utf8').trim());
    }
  }
  if (!opened['SECRET-API-TOKEN']?.value) throw new Error(`${folder}: no SECRET-API-TOKEN, or it is empty`);
  return opened;
}

function same(a, b) {
  const digest = (text) => crypto.createHash('sha256').update(text).digest();
  return crypto.timingSafeEqual(digest(a), digest(b));
}

function main(env) {
  const opened = read(env.SECRETS_DIR || '/etc/secrets', keys(env));
  const old = Object.keys(opened).filter((name) => opened[name].previous);
  old.forEach((name) => console.log(`${name} is still under a previous key`));
  const want = `Bearer ${opened['SECRET-API-TOKEN'].value}`;

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
