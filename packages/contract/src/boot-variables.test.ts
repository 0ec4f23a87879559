import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootVariables, unknownVariables } from './boot-variables.ts';

describe('unknownVariables', () => {
  it('finds nothing in text that holds only boot variables, or none', () => {
    expect(unknownVariables('a=${server}/x b=${node_id} c=${mac} d=${ip} e=${node_token} $f {g} $$')).toEqual(
      [],
    );
  });

  it('names each unknown one once, as it is written', () => {
    expect(unknownVariables('${net0/ip} ${mac} ${net0/ip} ${Server} ${ mac} ${}')).toEqual([
      '${net0/ip}',
      '${Server}',
      '${ mac}',
      '${}',
    ]);
  });

  it('sees a variable that is not closed or nested', () => {
    expect(unknownVariables('x ${server')).toEqual(['${server']);
    expect(unknownVariables('${net${mac}/ip}')).toEqual(['${net${mac}']);
  });

  it('leaves no ${ once the known variables are taken out of a text that it accepts', () => {
    const piece = fc.oneof(
      fc.constantFrom('$', '{', '}', '${', ...bootVariables.map((n) => `\${${n}}`)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        if (unknownVariables(text).length > 0) return;
        const names = new RegExp(`\\$\\{(?:${bootVariables.join('|')})\\}`, 'g');
        expect(text.replace(names, '-')).not.toContain('${');
      }),
    );
  });
});
