/**
 * Requests as attackers write them: what a parser before or behind another one could read in two ways, what
 * is no HTTP, and what lies about its size. Where a confused parser would begin the next request, the bytes
 * ask for SMUGGLED, of which no answer may ever speak.
 */

export const SMUGGLED = '/smuggled';
const INNER = `GET ${SMUGGLED} HTTP/1.1\r\nHost: x\r\n\r\n`;

export interface RawCase {
  readonly name: string;
  /** A character a byte. */
  readonly bytes: string;
  /** Statuses of the answers, in their order; the connection is closed behind the last one. */
  readonly statuses: readonly number[];
  /** The client ends its side behind the bytes: nothing else would say that there is no more. */
  readonly halfClose?: true;
}

const BAD = [400] as const;
const LAST = 'Connection: close\r\n';

const body = '{"count":1}';
const KNOWN = '/v1/selection?count=1';
const POST = `POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

function get(headers = '', path = '/livez'): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
}

function bad(name: string, bytes: string, statuses: readonly number[] = BAD): RawCase {
  return { name, bytes, statuses };
}

function shown(text: string): string {
  return JSON.stringify(text);
}

/** Both framings at once: a server takes one of them, a proxy in front may take the other. */
function bothFramings(): RawCase[] {
  const encodings = [
    'chunked',
    'Chunked',
    'CHUNKED',
    ' chunked',
    'chunked ',
    '\tchunked',
    'chunked\t',
    'identity',
    'gzip, chunked',
    'chunked, identity',
    'identity, chunked',
    'chunked, chunked',
    'xchunked',
    'chunkedx',
    'chunked;q=1',
    '"chunked"',
    'chun ked',
    'chunked,',
    ',chunked',
    '',
  ];
  return encodings.flatMap(encoding => {
    const te = `Transfer-Encoding:${encoding}\r\n`;
    const cl = `Content-Length: ${chunked('').length + INNER.length}\r\n`;
    return [
      bad(`TE ${shown(encoding)} before CL`, `${POST}${te}${cl}\r\n${chunked('')}${INNER}`),
      bad(`CL before TE ${shown(encoding)}`, `${POST}${cl}${te}\r\n${chunked('')}${INNER}`),
    ];
  });
}

function wrongEncodings(): RawCase[] {
  const values = [
    'identity',
    'gzip',
    'xchunked',
    'chunked, identity',
    'chunked, gzip',
    '"chunked"',
    'chunked;a=b',
  ];
  const alone = values.map(value =>
    bad(`TE ${shown(value)} alone`, `${POST}Transfer-Encoding: ${value}\r\n\r\n${chunked(body)}${INNER}`),
  );
  const names = [
    'Transfer-Encoding ',
    ' Transfer-Encoding',
    'Transfer-Encoding\t',
    'Transfer-Encoding\0',
    'Transfer Encoding',
    'Transfer-Encoding\x0b',
    'Foo: x\nTransfer-Encoding',
    'Foo: x\rTransfer-Encoding',
    'Foo: x\r\n Transfer-Encoding',
    '\0Transfer-Encoding',
  ];
  const spelled = names.map(name =>
    bad(
      `TE spelled ${shown(name)}`,
      `${POST}Content-Length: ${body.length}\r\n${name}: chunked\r\n\r\n${body}${INNER}`,
    ),
  );
  const twice = ['chunked', 'identity', 'x'].map(second =>
    bad(
      `TE chunked and TE ${second}`,
      `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: ${second}\r\n\r\n${chunked(body)}${INNER}`,
    ),
  );
  return [...alone, ...spelled, ...twice];
}

function wrongLengths(): RawCase[] {
  const values = [
    '+11',
    '-11',
    '11 11',
    '11,11',
    '11, 11',
    '0xb',
    '11.0',
    '1e1',
    '11a',
    'a11',
    '',
    ' ',
    '\x0b11',
    '1\x001',
    '１１',
    'NaN',
    'Infinity',
    '18446744073709551616',
    '18446744073709551627',
    '99999999999999999999999999999999',
    '11;q=1',
    '"11"',
  ];
  const wrong = values.map(value =>
    bad(
      `CL ${shown(value)}`,
      `${POST}Content-Length: ${Buffer.from(value).toString('latin1')}\r\n\r\n${body}${INNER}`,
    ),
  );
  const twice = ['11', '12', '0', ''].map(second =>
    bad(
      `CL 11 and CL ${shown(second)}`,
      `${POST}Content-Length: 11\r\nContent-Length: ${second}\r\n\r\n${body}${INNER}`,
    ),
  );
  const names = [
    'Content-Length ',
    'Content-Length\t',
    ' Content-Length',
    'Content Length',
    'Content-Length\0',
  ];
  const spelled = names.map(name =>
    bad(`CL spelled ${shown(name)}`, `${POST}${name}: ${body.length}\r\n\r\n${body}${INNER}`),
  );
  return [...wrong, ...twice, ...spelled];
}

function wrongChunks(): RawCase[] {
  const TE = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
  const sizes = [
    'g',
    '-b',
    '+b',
    '0xb',
    '',
    ' b',
    '\tb',
    'b\0',
    'bq',
    'fffffffffffffffff',
    '10000000000000000b',
    'b\x0b',
  ];
  return [
    ...sizes.map(size => bad(`chunk size ${shown(size)}`, `${TE}${size}\r\n${body}\r\n0\r\n\r\n${INNER}`)),
    bad('chunk longer than its size', `${TE}5\r\n${body}\r\n0\r\n\r\n${INNER}`),
    bad('chunk without its end', `${TE}b\r\n${body}0\r\n\r\n${INNER}`),
    bad('chunk ended by LF', `${TE}b\r\n${body}\n0\r\n\r\n${INNER}`),
    bad('chunk ended by CR', `${TE}b\r\n${body}\r0\r\n\r\n${INNER}`),
    bad('chunk size ended by LF', `${TE}b\n${body}\r\n0\r\n\r\n${INNER}`),
    bad('chunk size ended by CR', `${TE}b\r${body}\r\n0\r\n\r\n${INNER}`),
    bad('chunk extension with LF', `${TE}b;a\n${body}\r\n0\r\n\r\n${INNER}`),
    bad('chunk extension with NUL', `${TE}b;a\0\r\n${body}\r\n0\r\n\r\n${INNER}`),
    bad('chunk extensions of 20 KiB', `${TE}b;${'a'.repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`, [413]),
    bad('last chunk without its end, and then a request', `${TE}b\r\n${body}\r\n0\r\n${INNER}`),
    bad('trailer that sets a length', `${TE}b\r\n${body}\r\n0\r\nContent-Length: 5\r\n\r\n${INNER}`),
    bad('trailer folded', `${TE}b\r\n${body}\r\n0\r\nX: a\r\n b\r\n\r\n${INNER}`),
    bad('trailer with a bare LF', `${TE}b\r\n${body}\r\n0\r\nX: a\nY: b\r\n\r\n${INNER}`),
    bad('trailer with NUL', `${TE}b\r\n${body}\r\n0\r\nX: a\0\r\n\r\n${INNER}`),
    bad('trailers of 20 KiB', `${TE}b\r\n${body}\r\n0\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, [431]),
    {
      name: 'chunks that never end',
      bytes: `${TE}b\r\n${body}\r\n`,
      statuses: BAD,
      halfClose: true,
    },
  ];
}

function wrongLines(): RawCase[] {
  const lines = [
    '/ HTTP/1.1',
    ' GET / HTTP/1.1',
    'get / HTTP/1.1',
    'Get / HTTP/1.1',
    'G\0ET / HTTP/1.1',
    'GET\t/ HTTP/1.1',
    'GET / HTTP/1.1 x',
    'GET / HTTP/2.0',
    'GET / HTTP/1.2',
    'GET / HTTP/0.9',
    'GET / HTTP/1.01',
    'GET / HTTP/11',
    'GET / HTTP/1.1\0',
    'GET / http/1.1',
    'GET / FTP/1.1',
    'GET /',
    'GET',
    'GET /a b HTTP/1.1',
    'GET /\0 HTTP/1.1',
    'GET /\x7f HTTP/1.1',
    'GET /\x01 HTTP/1.1',
    'GET /a\rb HTTP/1.1',
    'GET /a\tb HTTP/1.1',
    'GET livez HTTP/1.1',
    'GET @evil/ HTTP/1.1',
    'GET \\livez HTTP/1.1',
    'FOO / HTTP/1.1',
    'GETX / HTTP/1.1',
    'PRI * HTTP/2.0',
  ];
  return lines.map(line => bad(`line ${shown(line)}`, `${line}\r\nHost: x\r\n\r\n${INNER}`));
}

function wrongHeaders(): RawCase[] {
  const control = Array.from({ length: 32 }, (_, code) => code).filter(code => code !== 9);
  const values = [...control, 127].map(code => {
    const sign = String.fromCharCode(code);
    return bad(`control character ${code} in a value`, get(`X: a${sign}b\r\n`) + INNER);
  });
  const separators = [...'()<>@,;\\"/[]?={} \t\0\x7f\x80\xff'];
  const names = separators.map(sign => bad(`${shown(sign)} in a name`, get(`X${sign}Y: a\r\n`) + INNER));
  return [
    ...values,
    ...names,
    bad('name without a colon', get('X\r\n') + INNER),
    bad('no name', get(': a\r\n') + INNER),
    bad('folded value', get('X: a\r\n b\r\n') + INNER),
    bad('value folded by a tab', get('X: a\r\n\tb\r\n') + INNER),
    bad('folded first line', `GET /livez HTTP/1.1\r\n Host: x\r\n\r\n${INNER}`),
    bad('lines ended by LF', `GET /livez HTTP/1.1\nHost: x\n\n${INNER}`),
    bad('head ended by LF', `GET /livez HTTP/1.1\r\nHost: x\r\n\n${INNER}`),
    bad('one line ended by LF', get('X: a\nY: b\r\n') + INNER),
    bad('head ended by CR CR', `GET /livez HTTP/1.1\r\nHost: x\r\r${INNER}`),
    bad('2,100 headers', get('a:\r\n'.repeat(2_020)), [431]),
    bad('101 headers', get('a:b\r\n'.repeat(99) + LAST), [431]),
    bad('a head of 9 KiB', get(`X: ${'a'.repeat(9_000)}\r\n`), [431]),
    bad('a line of 9 KiB', get('', `/${'a'.repeat(9_000)}`), [431]),
    bad('a URL of 2 KiB', get(LAST, `/${'a'.repeat(2_000)}`), [414]),
  ];
}

function wrongHosts(): RawCase[] {
  return [
    bad('no host', `GET /livez HTTP/1.1\r\n\r\n${INNER}`),
    bad('two hosts', get('Host: y\r\n') + INNER),
    bad('two equal hosts', get('Host: x\r\n') + INNER),
    ...[
      'a b',
      'user@x',
      'x/y',
      'x, y',
      'x:y',
      '[x]',
      '"x"',
      'x:123456',
      'http://x',
      'x\\y',
      'x?y',
      'x#y',
      '\xe2\x82',
    ].map(host => bad(`host ${shown(host)}`, `GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n${INNER}`)),
    ...['a known URL', 'a body'].map((what, i) =>
      bad(
        `two hosts, and ${what}`,
        i === 0
          ? `${get('', KNOWN).repeat(2)}${get('Host: y\r\n', KNOWN)}${INNER}`
          : `${POST}Host: y\r\nContent-Length: 11\r\n\r\n${body}${INNER}`,
        i === 0 ? [200, 200, 400] : BAD,
      ),
    ),
    bad('two credentials', get('Authorization: Bearer a\r\nauthorization: Bearer b\r\n') + INNER),
    bad('host by another name', `GET /livez HTTP/1.1\r\nHost : x\r\n\r\n${INNER}`),
    bad('no host, and a length', `${POST.replace('Host: x\r\n', '')}Content-Length: 11\r\n\r\n${body}`),
  ];
}

function foreignTongues(): RawCase[] {
  return [
    bad('a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
    bad('an SSH banner', 'SSH-2.0-OpenSSH_9.6\r\n'),
    bad('the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    bad('a PROXY line', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${INNER}`),
    bad('a PROXY v2 head', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'),
    bad('SMTP', 'EHLO example.org\r\n'),
    bad('Redis', '*1\r\n$4\r\nPING\r\n'),
    bad('a Postgres startup', '\0\0\0\x08\x04\xd2\x16\x2f'),
    bad('NULs', '\0'.repeat(64)),
    bad('bytes beyond ASCII', '\xff\xfe\xfd'.repeat(20)),
    bad('a response', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
    bad('a line of text', `hello there\r\n\r\n${INNER}`),
  ];
}

const GOOD = `${POST}Content-Length: 11\r\n\r\n${body}`;
const END = get(LAST);
/** With INNER as its body. */
const HIDING = `Content-Length: ${INNER.length}\r\n\r\n${INNER}`;
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

/** What is good, and what follows it on the same connection. */
function mixtures(): RawCase[] {
  return [
    bad('a good one, then garbage', `${get()}\x01\x02${INNER}`, [200, 400]),
    bad(
      'five good ones, then garbage',
      `${get().repeat(5)}*`.concat('\r\n\r\n'),
      [200, 200, 200, 200, 200, 400],
    ),
    bad('a good body, then garbage', `${GOOD}\x01${INNER}`, [200, 400]),
    bad('a length that is too short', `${POST}Content-Length: 11\r\n\r\n${body}${body}\r\n\r\n`, [200, 400]),
    bad(
      'a good one, then both framings',
      `${GOOD}${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
      [200, 400],
    ),
    bad('a refused one, then a good one', `${POST}Content-Length: 2\r\n\r\n[]${END}`, [400, 200]),
    bad('an unknown path, then a good one', get('', '/none') + END, [404, 200]),
  ];
}

/** Bodies where none is taken, that are requests, or that lie about their size. */
function hidingBodies(): RawCase[] {
  return [
    bad('GET with a body', `GET /livez HTTP/1.1\r\nHost: x\r\n${HIDING}`, [413]),
    bad(
      'GET with chunks',
      `GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(INNER)}`,
      [413],
    ),
    bad('HEAD with a body', `HEAD /livez HTTP/1.1\r\nHost: x\r\n${HIDING}`, [413]),
    bad('DELETE with a body', `DELETE /livez HTTP/1.1\r\nHost: x\r\n${HIDING}`, [413]),
    bad('GET that says it has no body', get('Content-Length: 0\r\n') + END, [200, 200]),
    bad(
      'a known URL with a body',
      `${get('', KNOWN)}GET ${KNOWN} HTTP/1.1\r\nHost: x\r\n${HIDING}`,
      [200, 413],
    ),
    bad('a body that is a request', `${POST}${HIDING}${END}`, [400]),
    bad('chunks that are a request', `${CHUNKED}${chunked(INNER)}${END}`, [400]),
    bad(
      'a body of another type',
      `POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${HIDING}${END}`,
      [415, 200],
    ),
    bad(
      'a body for a path that is none',
      `POST /none HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${HIDING}${END}`,
      [404],
    ),
    bad('a length beyond the limit', `${POST}Content-Length: 99999999\r\n\r\n${INNER}`, [413]),
    {
      name: 'a body that never comes to its end',
      bytes: `${POST}Content-Length: 500\r\n\r\n{`,
      statuses: BAD,
      halfClose: true,
    },
    {
      name: 'a head that never comes to its end',
      bytes: 'GET /livez HTTP/1.1\r\nHost:',
      statuses: BAD,
      halfClose: true,
    },
    { name: 'a line that never comes to its end', bytes: 'GET /li', statuses: BAD, halfClose: true },
  ];
}

/** What looks odd and is allowed, or is refused in good order. */
function oddities(): RawCase[] {
  const each = [...body].map(sign => `1\r\n${sign}\r\n`).join('');
  return [
    bad('blank lines in front', `\r\n\r\n${END}`, [200]),
    bad('blank lines in between', `${get()}\r\n\r\n${END}`, [200, 200]),
    bad('chunks with an extension', `${CHUNKED}b;a=b\r\n${body}\r\n0\r\n\r\n${END}`, [200, 200]),
    bad('chunks with zeros in front', `${CHUNKED}0000b\r\n${body}\r\n0\r\n\r\n${END}`, [200, 200]),
    bad('chunks with a trailer', `${CHUNKED}b\r\n${body}\r\n0\r\nX: y\r\n\r\n${END}`, [200, 200]),
    bad('a chunk a byte', `${CHUNKED}${each}0\r\n\r\n${END}`, [200, 200]),
    bad('a length with zeros in front', `${POST}Content-Length: 00011\r\n\r\n${body}${END}`, [200, 200]),
    bad('a length between blanks', `${POST}Content-Length: \t 11 \t\r\n\r\n${body}${END}`, [200, 200]),
    bad('an absolute URL', get(LAST, 'http://x/livez'), [200]),
    bad('an absolute URL of another host', get(LAST, 'http://evil.example/livez'), [200]),
    bad('an absolute URL with TLS', get(LAST, 'https://x/livez'), [200]),
    bad(
      'a URL without a path, which is that of the page',
      get(LAST, 'http://x').replace('GET', 'HEAD'),
      [200],
    ),
    bad('two slashes', get(LAST, '//livez'), [404]),
    bad('a fragment', get(LAST, '/livez#x'), [400]),
    bad('dots', get(LAST, '/v1/../livez'), [404]),
    bad('dots in escapes', get(LAST, '/v1/%2e%2e/livez'), [404]),
    bad('a NUL in an escape', get(LAST, '/livez%00'), [404]),
    bad('a backslash', get(LAST, '/\\livez'), [404]),
    bad('a semicolon', get(LAST, '/livez;x=y'), [404]),
    bad('OPTIONS for all', `OPTIONS * HTTP/1.1\r\nHost: x\r\n${LAST}\r\n`, [404]),
    bad('GET for all', get(LAST, '*'), [404]),
  ];
}

/** Versions, upgrades, expectations, and headers of unusual signs. */
function ceremonies(): RawCase[] {
  const old = 'POST /v1/selection HTTP/1.0\r\nContent-Type: application/json\r\n';
  const keys = 'Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n';
  return [
    bad('HTTP/1.0', 'GET /livez HTTP/1.0\r\n\r\n', [200]),
    bad('HTTP/1.0 with chunks', `${old}Transfer-Encoding: chunked\r\n\r\n${chunked(body)}${INNER}`),
    bad(
      'an upgrade to HTTP/2',
      get(
        `Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`,
      ),
      [200],
    ),
    bad(
      'an upgrade to a web socket',
      get(`Connection: Upgrade, close\r\nUpgrade: websocket\r\n${keys}`),
      [200],
    ),
    bad(
      'an expectation that is none',
      `${POST}Expect: 200-ok\r\nContent-Length: 11\r\n${LAST}\r\n${body}`,
      [417],
    ),
    bad(
      'an expectation',
      `${POST}Expect: 100-continue\r\nContent-Length: 11\r\n${LAST}\r\n${body}`,
      [100, 200],
    ),
    bad('a connection header of nonsense', get('Connection: close, host, content-length\r\n'), [200]),
    bad('TRACE', `TRACE /livez HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n${LAST}\r\n`, [405]),
    bad('a path in bytes beyond ASCII', get(LAST, '/\xe2\x82\xac')),
    bad('an empty host', `GET /livez HTTP/1.1\r\nHost:\r\n${LAST}\r\n`, [200]),
    bad('a value of bytes beyond ASCII', get(`X: \xe2\x82\xac\r\n${LAST}`), [200]),
    bad('a tab in a value', get(`X: a\tb\r\n${LAST}`), [200]),
    bad('100 headers', get('a:b\r\n'.repeat(98) + LAST), [200]),
  ];
}

export const RAW_CASES: readonly RawCase[] = [
  ...bothFramings(),
  ...wrongEncodings(),
  ...wrongLengths(),
  ...wrongChunks(),
  ...wrongLines(),
  ...wrongHeaders(),
  ...wrongHosts(),
  ...foreignTongues(),
  ...mixtures(),
  ...hidingBodies(),
  ...oddities(),
  ...ceremonies(),
];
