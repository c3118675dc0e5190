/** Writes ONNX files. Source: onnx.proto, the messages and fields these graphs need (github.com/onnx/onnx, Apache-2.0). Same input, same bytes. */
import protobuf from 'protobufjs';

const field = (type: string, id: number, rule?: 'repeated') => ({ type, id, ...(rule === undefined ? {} : { rule }) });

/** The subset of onnx.proto (IR version 8) that the builders use. */
const ROOT = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        graph: field('Graph', 7),
        opsetImport: field('Opset', 8, 'repeated'),
      },
    },
    Opset: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    Graph: {
      fields: {
        node: field('Node', 1, 'repeated'),
        name: field('string', 2),
        initializer: field('Tensor', 5, 'repeated'),
        input: field('ValueInfo', 11, 'repeated'),
        output: field('ValueInfo', 12, 'repeated'),
      },
    },
    Node: {
      fields: {
        input: field('string', 1, 'repeated'),
        output: field('string', 2, 'repeated'),
        opType: field('string', 4),
        domain: field('string', 7),
        attribute: field('Attribute', 5, 'repeated'),
      },
    },
    Attribute: { fields: { name: field('string', 1), i: field('int64', 3), type: field('int32', 20) } },
    Tensor: {
      fields: {
        dims: field('int64', 1, 'repeated'),
        dataType: field('int32', 2),
        name: field('string', 8),
        rawData: field('bytes', 9),
        externalData: field('Entry', 13, 'repeated'),
        dataLocation: field('int32', 14),
      },
    },
    Entry: { fields: { key: field('string', 1), value: field('string', 2) } },
    ValueInfo: { fields: { name: field('string', 1), type: field('Type', 2) } },
    Type: { fields: { tensorType: field('TensorType', 1) } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('Shape', 2) } },
    Shape: { fields: { dim: field('Dim', 1, 'repeated') } },
    Dim: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
  },
});

const FLOAT = 1;
const INT64 = 7;
const INT_ATTRIBUTE = 2;

export interface TensorValue {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: 'float32' | 'int64';
  readonly values: readonly number[];
  /** Writes a reference to a file beside the model instead of the values; only tests of the refusal need it. */
  readonly externalLocation?: string;
}
export interface OperatorCall {
  readonly operator: string;
  /** Absent: ai.onnx. Only tests of the refusal name another. */
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number>>;
}
/** Inputs and outputs are float32 of shape [batch, width]. */
export interface GraphSpec {
  readonly name: string;
  readonly inputs: readonly { readonly name: string; readonly width: number }[];
  readonly outputs: readonly { readonly name: string; readonly width: number }[];
  readonly constants: readonly TensorValue[];
  readonly calls: readonly OperatorCall[];
}

function rawData({ type, values }: TensorValue): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(values.length * (type === 'float32' ? 4 : 8)));
  values.forEach((value, index) => {
    if (type === 'float32') bytes.setFloat32(index * 4, value, true);
    else bytes.setBigInt64(index * 8, BigInt(value), true);
  });
  return new Uint8Array(bytes.buffer);
}

function tensor(value: TensorValue): object {
  const head = { dims: value.dims, dataType: value.type === 'float32' ? FLOAT : INT64, name: value.name };
  if (value.externalLocation === undefined) return { ...head, rawData: rawData(value) };
  return { ...head, dataLocation: 1, externalData: [{ key: 'location', value: value.externalLocation }] };
}

const valueInfo = ({ name, width }: { name: string; width: number }): object => ({
  name,
  type: { tensorType: { elemType: FLOAT, shape: { dim: [{ dimParam: 'batch' }, { dimValue: width }] } } },
});

/** Bytes of an ONNX model (IR 8, opset 17), without timestamps or other varying parts. */
export function onnxBytes(spec: GraphSpec): Uint8Array {
  const type = ROOT.lookupType('Model');
  const graph = {
    name: spec.name,
    node: spec.calls.map(({ operator, domain, inputs, output, attributes = {} }) => ({
      opType: operator,
      ...(domain === undefined ? {} : { domain }),
      input: inputs,
      output: [output],
      attribute: Object.entries(attributes).map(([name, i]) => ({ name, i, type: INT_ATTRIBUTE })),
    })),
    initializer: spec.constants.map(tensor),
    input: spec.inputs.map(valueInfo),
    output: spec.outputs.map(valueInfo),
  };
  return type
    .encode(type.fromObject({ irVersion: 8, producerName: 'firewatch', graph, opsetImport: [{ version: 17 }] }))
    .finish();
}
