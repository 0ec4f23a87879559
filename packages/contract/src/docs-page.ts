import { code, escapeHtml, prose, styleSheet } from './docs-html.ts';
import { exampleOf, fieldTable, limits, typeName } from './docs-schema.ts';
import { arrayOf, objectOf, textOf } from './json.ts';
import type { JsonObject } from './json.ts';
import { referencedName } from './openapi-schema.ts';

/** One call of the document, with where it stands. */
interface Call {
  method: string;
  path: string;
  operation: JsonObject;
}

/** The OpenAPI document of `openApiDocument` as one self-contained page: no script, nothing loaded from elsewhere. */
export function docsPage(document: JsonObject): string {
  const info = objectOf(document['info']);
  const components = objectOf(objectOf(document['components'])['schemas']);
  const server = textOf(objectOf(arrayOf(document['servers'])[0])['url']) || 'http://127.0.0.1:8080';
  const calls = callsOf(document);
  const tags = arrayOf(document['tags']).map(objectOf);
  const sections = tags.map((tag) => {
    const name = textOf(tag['name']);
    const articles = calls
      .filter((call) => tagOf(call) === name)
      .map((call) => callArticle(call, components, server));
    return `<section><h2 id="${anchor(name)}">${escapeHtml(name)}</h2><p>${prose(textOf(tag['description']))}</p>
${articles.join('\n')}</section>`;
  });
  const title = `${textOf(info['title'])} ${textOf(info['version'])}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${styleSheet}</style>
</head>
<body>
<div class="layout">
${navigation(tags, calls)}
<main>
<h1>${escapeHtml(title)}</h1>
<p>${prose(textOf(info['description']))}</p>
<p class="muted">For programs: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('\n')}
${schemaSection(components)}
${errorSection(document)}
</main>
</div>
</body>
</html>
`;
}

function callsOf(document: JsonObject): Call[] {
  return Object.entries(objectOf(document['paths'])).flatMap(([path, item]) =>
    Object.entries(objectOf(item))
      // HEAD is told in the text of its GET, where there is one.
      .filter(([method]) => method !== 'head' || !Object.hasOwn(objectOf(item), 'get'))
      .map(([method, operation]) => ({ method, path, operation: objectOf(operation) })),
  );
}

function tagOf(call: Call): string {
  return textOf(arrayOf(call.operation['tags'])[0]);
}

function anchor(name: string): string {
  return `tag-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
}

function navigation(tags: readonly JsonObject[], calls: readonly Call[]): string {
  const groups = tags.map((tag) => {
    const name = textOf(tag['name']);
    const entries = calls
      .filter((call) => tagOf(call) === name)
      .map(
        ({ operation }) =>
          `<li><a href="#${idOf(operation)}">${escapeHtml(textOf(operation['summary']))}</a></li>`,
      );
    return `<strong><a href="#${anchor(name)}">${escapeHtml(name)}</a></strong><ul>${entries.join('')}</ul>`;
  });
  const rest =
    '<strong><a href="#schemas">Schemas</a></strong><br><strong><a href="#errors">Error codes</a></strong>';
  return `<nav aria-label="Endpoints">${groups.join('\n')}${rest}</nav>`;
}

function idOf(operation: JsonObject): string {
  return escapeHtml(textOf(operation['operationId']));
}

function callArticle(call: Call, components: JsonObject, server: string): string {
  const { method, path, operation } = call;
  const description = textOf(operation['description']);
  return `<article>
<h3 id="${idOf(operation)}">${escapeHtml(textOf(operation['summary']))}</h3>
<p class="call"><span class="${escapeHtml(method)}">${escapeHtml(method.toUpperCase())}</span> ${escapeHtml(path)}</p>
${description === '' ? '' : `<p>${prose(description)}</p>`}
<p class="muted">Needs: ${accessText(textOf(operation['x-access']))}</p>
${parameterTable(operation)}
${bodySection(operation, components)}
${responseTable(operation)}
<h4>Example</h4>
<pre>${escapeHtml(curlExample(call, components, server))}</pre>
</article>`;
}

function accessText(access: string): string {
  if (access === 'anonymous') return 'no API key.';
  if (access === 'authenticated') return 'any API key.';
  if (access === 'boot') {
    return `no API key from the networks in ${code('anonymous_boot_networks')}; from elsewhere a key with ${code('boot:read')} or ${code('files:read')}.`;
  }
  return `an API key with ${code(access)}${access === 'admin' ? '' : ` or ${code('admin')}`}.`;
}

function parameterTable(operation: JsonObject): string {
  const rows = arrayOf(operation['parameters']).map((entry) => {
    const parameter = objectOf(entry);
    const schema = objectOf(parameter['schema']);
    const meaning = [prose(textOf(parameter['description'])), limits(schema)]
      .filter((text) => text !== '')
      .join(' ');
    const mark = parameter['required'] === true ? '' : ' <small>optional</small>';
    const place = escapeHtml(textOf(parameter['in']));
    return `<tr><td>${code(textOf(parameter['name']))}${mark}</td><td>${place}</td><td>${typeName(schema)}</td><td>${meaning}</td></tr>`;
  });
  if (rows.length === 0) return '';
  return `<h4>Parameters</h4><div class="scroll"><table><thead><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function bodySection(operation: JsonObject, components: JsonObject): string {
  const body = objectOf(operation['requestBody']);
  const content = Object.entries(objectOf(body['content']));
  if (content.length === 0) return '';
  const types = content.map(([type]) => code(type)).join(' or ');
  const description = textOf(body['description']);
  const schema = objectOf(objectOf(content[0]?.[1])['schema']);
  const name = referencedName(textOf(schema['$ref']));
  const table =
    description === '' ? fieldTable(name === undefined ? schema : objectOf(components[name])) : '';
  return `<h4>Body</h4><p>${types}. ${prose(description)}</p><div class="scroll">${table}</div>`;
}

function responseTable(operation: JsonObject): string {
  const rows = Object.entries(objectOf(operation['responses'])).map(([status, value]) => {
    const response = objectOf(value);
    const content = Object.entries(objectOf(response['content']))[0];
    const codes = arrayOf(response['x-codes']).map((entry) => textOf(entry));
    const shape =
      codes.length > 0
        ? codes.map((entry) => `<a href="#error-${escapeHtml(entry)}">${code(entry)}</a>`).join(', ')
        : answerText(content);
    return `<tr><td>${escapeHtml(status)}</td><td>${codes.length > 0 ? 'Refused' : prose(textOf(response['description']))}</td><td>${shape}</td></tr>`;
  });
  return `<h4>Answers</h4><div class="scroll"><table><thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function answerText(content: [string, JsonObject[string]] | undefined): string {
  if (content === undefined) return '';
  const [type, media] = content;
  const schema = objectOf(objectOf(media)['schema']);
  const { data } = objectOf(schema['properties']);
  if (type !== 'application/json') return code(type);
  return data === undefined
    ? typeName(schema)
    : `${code('data')}: ${typeName(objectOf(data))}${inlineFields(objectOf(data))}`;
}

function inlineFields(schema: JsonObject): string {
  const names = Object.keys(objectOf(schema['properties']));
  return names.length === 0 ? '' : ` with ${names.map(code).join(', ')}`;
}

/** A command for a shell: quoted for POSIX sh. */
function curlExample({ method, path, operation }: Call, components: JsonObject, server: string): string {
  const query = arrayOf(operation['parameters'])
    .map(objectOf)
    .filter((parameter) => parameter['in'] === 'query' && parameter['required'] === true)
    .map((parameter) => `${textOf(parameter['name'])}=${queryExample(parameter)}`);
  const url = `${server}${pathExample(path)}`;
  const parts = ['curl'];
  // With `-X HEAD` curl would wait for a body.
  if (method === 'head') parts.push('--head');
  else if (method !== 'get') parts.push(`-X ${method.toUpperCase()}`);
  const access = textOf(operation['x-access']);
  if (access !== 'anonymous' && access !== 'boot') parts.push('-H "Authorization: Bearer $HOLDFAST_KEY"');
  const content = objectOf(objectOf(operation['requestBody'])['content']);
  const json = content['application/json'];
  if (json !== undefined) {
    const body = JSON.stringify(exampleOf(objectOf(objectOf(json)['schema']), components));
    parts.push("-H 'Content-Type: application/json'", `-d ${shellQuote(body)}`);
  } else if (content['application/octet-stream'] !== undefined) {
    parts.push("-H 'Content-Type: application/octet-stream'", '--data-binary @vmlinuz');
  }
  parts.push(shellQuote(query.length === 0 ? url : `${url}?${query.join('&')}`));
  return parts.join(' \\\n  ');
}

/** curl gives braces a meaning of their own. */
function pathExample(path: string): string {
  return path
    .replaceAll('{path}', 'debian/vmlinuz')
    .replaceAll(/\{(\w+)\}/g, (_braces, name: string) => name.toUpperCase());
}

function queryExample(parameter: JsonObject): string {
  return textOf(parameter['name']) === 'path' ? '/debian/vmlinuz' : '52-54-00-12-34-56';
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function schemaSection(components: JsonObject): string {
  const articles = Object.entries(components).map(
    ([name, schema]) =>
      `<article><h3 id="schema-${escapeHtml(name)}">${escapeHtml(name)}</h3><div class="scroll">${fieldTable(objectOf(schema))}</div></article>`,
  );
  return `<section><h2 id="schemas">Schemas</h2>${articles.join('\n')}</section>`;
}

function errorSection(document: JsonObject): string {
  const rows = arrayOf(document['x-error-codes']).map((entry) => {
    const { code: name, status, title } = objectOf(entry);
    const text = textOf(name);
    return `<tr id="error-${escapeHtml(text)}"><td>${code(text)}</td><td>${escapeHtml(JSON.stringify(status))}</td><td>${escapeHtml(textOf(title))}</td></tr>`;
  });
  return `<section><h2 id="errors">Error codes</h2><p>The <code>detail</code> of an answer is a sentence about the case at hand.</p>
<div class="scroll"><table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`;
}
