// SPDX-License-Identifier: Apache-2.0
//
// npm's fernet behind the protocol of doc.go. It takes and gives text only.

const fernet = require('fernet');
const readline = require('readline');

function answer({ op, keys, token, data, time }) {
  const secret = new fernet.Secret(keys[0]);
  if (op === 'seal') {
    const message = Buffer.from(data, 'base64').toString('utf8');
    const at = new Date(time * 1000).toISOString();
    return { token: new fernet.Token({ secret, message, time: at }).encode() };
  }
  const message = new fernet.Token({ secret, token, ttl: 0 }).decode();
  return { data: Buffer.from(message, 'utf8').toString('base64') };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let reply;
  try {
    reply = answer(JSON.parse(line));
  } catch (err) {
    reply = { error: err.name };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
});
